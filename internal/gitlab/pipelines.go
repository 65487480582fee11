package gitlab

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	api "gitlab.com/gitlab-org/api/client-go"
)

// Pipeline is a pipeline as it is now.
type Pipeline struct {
	ID     string
	URL    string
	Status string
}

// Trigger runs a new pipeline of a ref. It is not repeated by itself: see
// Error.Unknown and Find.
func (c *Client) Trigger(ctx context.Context, project, ref string, variables map[string]string) (Pipeline, error) {
	client, err := c.connect()
	if err != nil {
		return Pipeline{}, err
	}
	list := make([]*api.PipelineVariableOptions, 0, len(variables))
	for _, key := range slices.Sorted(maps.Keys(variables)) {
		list = append(list, &api.PipelineVariableOptions{Key: api.Ptr(key), Value: api.Ptr(variables[key])})
	}
	p, _, err := client.Pipelines.CreatePipeline(project, &api.CreatePipelineOptions{Ref: api.Ptr(ref), Variables: &list}, api.WithContext(ctx))
	if err != nil {
		return Pipeline{}, wrap(err)
	}
	return Pipeline{ID: strconv.FormatInt(p.ID, 10), URL: p.WebURL, Status: p.Status}, nil
}

// Pipeline reads a pipeline.
func (c *Client) Pipeline(ctx context.Context, project, id string) (Pipeline, error) {
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return Pipeline{}, &Error{Message: fmt.Sprintf("%.40q is no pipeline's number", id)}
	}
	client, err := c.connect()
	if err != nil {
		return Pipeline{}, err
	}
	p, _, err := client.Pipelines.GetPipeline(project, n, api.WithContext(ctx))
	if err != nil {
		return Pipeline{}, wrap(err)
	}
	return Pipeline{ID: id, URL: p.WebURL, Status: p.Status}, nil
}

// CanRead says whether the token may read a project's pipelines.
func (c *Client) CanRead(ctx context.Context, project string) error {
	client, err := c.connect()
	if err != nil {
		return err
	}
	options := &api.ListProjectPipelinesOptions{ListOptions: api.ListOptions{PerPage: 1}}
	_, _, err = client.Pipelines.ListProjectPipelines(project, options, api.WithContext(ctx))
	return wrap(err)
}

// searched is how many of a ref's pipelines Find looks at.
const searched = 20

// Find looks for a pipeline of a ref that has all the variables, among those made
// since. It answers whether one was triggered before its number could be
// written down.
func (c *Client) Find(ctx context.Context, project, ref string, since time.Time, variables map[string]string) (p Pipeline, found bool, err error) {
	client, err := c.connect()
	if err != nil {
		return p, false, err
	}
	options := &api.ListProjectPipelinesOptions{
		ListOptions: api.ListOptions{PerPage: searched}, Ref: api.Ptr(ref),
		UpdatedAfter: api.Ptr(since), OrderBy: api.Ptr("id"), Sort: api.Ptr("desc"),
	}
	list, _, err := client.Pipelines.ListProjectPipelines(project, options, api.WithContext(ctx))
	if err != nil {
		return p, false, wrap(err)
	}
	for _, candidate := range list {
		has, _, err := client.Pipelines.GetPipelineVariables(project, candidate.ID, api.WithContext(ctx))
		if err != nil {
			return p, false, wrap(err)
		}
		if hasAll(has, variables) {
			return Pipeline{ID: strconv.FormatInt(candidate.ID, 10), URL: candidate.WebURL, Status: candidate.Status}, true, nil
		}
	}
	return p, false, nil
}

func hasAll(has []*api.PipelineVariable, variables map[string]string) bool {
	found := 0
	for _, v := range has {
		if want, ok := variables[v.Key]; ok && v.Value == want {
			found++
		}
	}
	return found == len(variables)
}

// FailedJobs names the failed jobs of a pipeline, at most as many as fit a page.
func (c *Client) FailedJobs(ctx context.Context, project, id string) ([]string, error) {
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return nil, &Error{Message: fmt.Sprintf("%.40q is no pipeline's number", id)}
	}
	client, err := c.connect()
	if err != nil {
		return nil, err
	}
	jobs, _, err := client.Jobs.ListPipelineJobs(project, n, &api.ListJobsOptions{Scope: &[]api.BuildStateValue{api.Failed}}, api.WithContext(ctx))
	if err != nil {
		return nil, wrap(err)
	}
	var names []string
	for _, j := range jobs {
		if !j.AllowFailure {
			names = append(names, j.Name)
		}
	}
	return names, nil
}
