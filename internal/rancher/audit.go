package rancher

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// auditPage is how many of the newest entries are looked through.
const auditPage = "100"

// wireAudit is an entry of Rancher's audit log (rancher-api 7.3).
type wireAudit struct {
	ID         string          `json:"id"`
	EventType  string          `json:"eventType"`
	ResourceID json.RawMessage `json:"resourceId"`
	Code       int             `json:"responseCode"`
	AuthType   string          `json:"authType"`
	Account    string          `json:"authenticatedAsAccountId"`
	ClientIP   string          `json:"clientIp"`
	Created    string          `json:"created"`
}

// auditedAction is the event of an action on a service of any kind.
var auditedAction = regexp.MustCompile(`^api\.(?:service|loadBalancerService)\.([a-z]{1,40})$`)

// LastAct is the last action on a service that Rancher took, by its audit log: the
// only place that tells who it was (AuditServiceImpl#logRequest). What comes of
// untrusted fields is bounded. Without an entry Action is empty.
func (c *Client) LastAct(ctx context.Context, serviceID string) observe.Act {
	op := "reading the audit log of service " + clip(serviceID)
	if !isID(serviceID, "1s") {
		return observe.Act{Problem: problem(&Error{Op: op, Code: CodeMismatch, Message: "that is no id of a service"})}
	}
	// The filter is a help: an unknown one is ignored and the newest of everything come.
	u, err := c.scope(ctx, "/auditLogs", url.Values{
		"eventType_like": {"api.%ervice.%"}, "sort": {"id"}, "order": {"desc"}, "limit": {auditPage},
	})
	if err != nil {
		return observe.Act{Problem: problem(err)}
	}
	var last wireAudit
	_, err = readPage(ctx, c, op, u, func(w *wireAudit) error {
		if w.isTaken(serviceID) && (last.ID == "" || idNumber(w.ID) > idNumber(last.ID)) {
			last = *w
		}
		return nil
	})
	if err != nil {
		return observe.Act{Problem: problem(err)}
	}
	return c.actOf(&last)
}

// isTaken says that an entry is an action on a service that Rancher did not refuse.
// Some versions write the number of the service, some its id.
func (w *wireAudit) isTaken(serviceID string) bool {
	id := strings.Trim(string(w.ResourceID), `"`)
	return isID(w.ID, "1al") && auditedAction.MatchString(w.EventType) && w.Code >= http.StatusOK && w.Code < http.StatusMultipleChoices &&
		(id == serviceID || "1s"+id == serviceID)
}

// actOf is an entry in the words that people are told.
func (c *Client) actOf(w *wireAudit) observe.Act {
	if w.ID == "" {
		return observe.Act{}
	}
	c.mu.Lock()
	project := c.project
	c.mu.Unlock()
	by := "account " + cmp.Or(clip(w.Account), "unknown")
	switch {
	case w.AuthType == "AdminAuth":
		by = "anybody, because Rancher's access control is off"
	case w.Account == project:
		by = "an API key of the environment"
	case w.AuthType == "TokenAuth" || w.AuthType == "TokenAccount":
		by += " in the browser"
	}
	return observe.Act{Action: auditedAction.FindStringSubmatch(w.EventType)[1], By: by, From: clip(w.ClientIP), At: clip(w.Created)}
}
