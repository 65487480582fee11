package ranchersim

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// logGrant is what a token of the logs action allows.
type logGrant struct {
	instance   *instance
	follow     bool
	timestamps bool
	lines      int
	since      time.Time
	expires    time.Time
}

// tokenLife is how long a token of the logs action is good for.
const tokenLife = 5 * time.Minute

// postLogs answers the logs action: where to read and a token. 404 without a host. The caller holds mu.
func (s *Server) postLogs(q *request, i *instance) (int, object, *apiError) {
	in, err := s.validator(q.view).object(schemas["containerLogs"], q.body, forCreate)
	if err != nil {
		return 0, nil, err
	}
	if i.host == nil {
		return 0, nil, notFound()
	}
	for token, grant := range s.tokens {
		if time.Now().After(grant.expires) {
			delete(s.tokens, token)
		}
	}
	grant := logGrant{
		instance: i, follow: toBool(in["follow"]), timestamps: toBool(in["timestamps"]), lines: number(in["lines"], 100),
		since: parseSince(text(in["since"])), expires: time.Now().Add(tokenLife),
	}
	token := s.logToken(grant, text(in["since"]))
	s.tokens[token] = grant
	root := q.view.rootBase()
	root = "ws" + strings.TrimPrefix(root[:strings.LastIndex(root, "/")], "http")
	return http.StatusOK, object{
		{"id", nil},
		{"type", "hostAccess"},
		{"links", object{}},
		{"actions", object{}},
		{"baseType", "hostAccess"},
		{"token", token},
		{"url", root + "/v1/logs/"},
	}, nil
}

// logToken makes a token that looks like Cattle's: a JWT that holds the options. What counts here is that it is known,
// so that the signature is random. The caller holds mu.
func (s *Server) logToken(g logGrant, since string) string {
	claims := appendJSON(nil, object{
		{"hostUuid", g.instance.host.uuid},
		{"logs", object{
			{"Container", g.instance.externalID},
			{"Lines", g.lines},
			{"Follow", g.follow},
			{"Timestamps", g.timestamps},
			{"Since", since},
		}},
		{"exp", g.expires.Unix()},
	})
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"RS256"}`)) + "." + encode(claims) + "." + encode(s.bytes(256))
}

// parseSince reads Docker's notations: unix seconds, with a fraction or without, and RFC 3339.
func parseSince(since string) time.Time {
	if since == "" {
		return time.Time{}
	}
	if t, err := time.Parse(time.RFC3339Nano, since); err == nil {
		return t
	}
	whole, fraction, _ := strings.Cut(since, ".")
	sec, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return time.Time{}
	}
	nano, err := strconv.ParseInt((fraction + "000000000")[:9], 10, 64)
	if err != nil {
		nano = 0
	}
	return time.Unix(sec, nano)
}
