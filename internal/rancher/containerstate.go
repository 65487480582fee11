package rancher

import (
	"context"
	"errors"
	"net/http"
)

// stateRemoved is Rancher's word for a container that is no more.
const stateRemoved = "removed"

// ContainerState is Rancher's own word for the state of a container, "removed"
// when there is no such container. It tells the end of a log stream from a cut.
func (c *Client) ContainerState(ctx context.Context, id string) (string, error) {
	op := "reading the state of container " + clip(id)
	if !isID(id, "1i") {
		return "", &Error{Op: op, Code: CodeMismatch, Message: "that is no id of a container"}
	}
	u, err := c.scope(ctx, "/containers/"+id, nil)
	if err != nil {
		return "", err
	}
	var w wireContainer
	if err := c.get(ctx, op, u, &w); err != nil {
		if known := (*Error)(nil); errors.As(err, &known) && known.NotFound() {
			return stateRemoved, nil
		}
		return "", err
	}
	if w.ID != id {
		return "", &Error{Op: op, Status: http.StatusOK, Code: CodeMismatch, Message: "was told of " + clip(w.Type+" "+w.ID)}
	}
	return w.State, nil
}
