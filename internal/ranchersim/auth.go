package ranchersim

import (
	"crypto/subtle"
	"net/http"
	"strings"
)

// KeyKind is what an API key may do and see.
type KeyKind int

// The kinds of keys there are.
const (
	EnvironmentKey KeyKind = iota // A project's own key, role project.
	AccountKey                    // A user's key; needs a project for everything but /projects.
	ReadOnlyKey                   // A user's key with the membership role readonly: nothing changes by it, and variables are hidden.
	AgentKey                      // A container's own key, role environment: secrets do not exist for it.
)

// Key is an API key.
type Key struct {
	Access, Secret string
	Kind           KeyKind
	// Project is the id of the project it belongs to, such as 1a5; of a user's key the only one the user is a member
	// of, and empty when that is all of them.
	Project string
}

// AddKey makes a key valid; with the first one access control is on.
func (s *Server) AddKey(k Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[k.Access] = k
	if _, known := s.accounts[k.Access]; !known {
		s.accounts[k.Access] = formatID(prefixProject, firstPerson+len(s.accounts))
	}
}

// firstPerson is the number of the first person's account; environments are accounts as well and count below.
const firstPerson = 101

// adminAccount is who everybody is while access control is off.
const adminAccount = "1a1"

// caller is who a request comes from.
type caller struct {
	kind    KeyKind
	admin   bool     // Access control is off.
	project *project // nil when an account key names none.
	member  *project // The only project of a user; nil when it is all of them.
	account string   // Whose key it is.
}

// hidden are the types that do not exist for the caller.
func (c caller) hidden() map[string]bool {
	switch c.kind {
	case AgentKey:
		return secretTypes
	case ReadOnlyKey:
		return readOnlyTypes
	default:
		return nil
	}
}

// hidesField tells whether the caller's role does not know a field of containers and launch configurations: secrets for
// a container's own key (recorded), variables for a read-only member, because they often hold passwords
// (rancher/rancher#9632).
func (c caller) hidesField(name string) bool {
	return c.kind == AgentKey && name == "secrets" || c.kind == ReadOnlyKey && name == "environment"
}

// may tells whether the caller's role has an action of a type: a read-only member has none but a container's logs
// (test_readonly_types in Cattle's test_authorization.py).
func (c caller) may(typ, action string) bool {
	return c.kind != ReadOnlyKey || action == "logs" && (typ == "container" || typ == "instance")
}

func (c caller) accountKind() string {
	switch {
	case c.admin:
		return "admin"
	case c.kind == AgentKey:
		return "environment"
	case c.kind == EnvironmentKey:
		return "project"
	default:
		return "user"
	}
}

// authenticate finds the caller: 401 for a wrong key, 403 for a project that is not the key's. The caller of this
// holds mu.
func (s *Server) authenticate(r *http.Request, projectID string) (caller, *apiError) {
	c, ok := s.identify(r)
	if !ok {
		return c, plainError(http.StatusUnauthorized)
	}
	if projectID == "" {
		projectID = r.Header.Get("X-API-Project-Id")
	}
	if projectID == "" {
		projectID = r.URL.Query().Get("projectId")
	}
	if projectID == "" {
		if c.project == nil && c.admin {
			c.project = s.projects[0]
		}
		return c, nil
	}
	p := s.findProject(projectID)
	if p == nil || c.project != nil && c.project != p || c.member != nil && c.member != p {
		return c, plainError(http.StatusForbidden)
	}
	c.project = p
	return c, nil
}

// identify looks the key up. With access control off everyone is admin, with any key or none, unless the request
// asks for enforcement (AdminAuthLookUp#getAccount).
func (s *Server) identify(r *http.Request) (caller, bool) {
	access, secret, given := r.BasicAuth()
	if k, ok := s.keys[access]; given && ok && subtle.ConstantTimeCompare([]byte(k.Secret), []byte(secret)) == 1 {
		c := caller{kind: k.Kind, member: s.findProject(k.Project), account: s.accounts[k.Access]}
		if k.Kind == EnvironmentKey || k.Kind == AgentKey {
			c.project, c.account = s.findProject(k.Project), k.Project
			// A key belongs to an account, here the environment, which must be active (AuthDaoImpl#getAccountByKeys).
			if c.project != nil && c.project.state != stateActive {
				return caller{}, false
			}
		}
		return c, true
	}
	if len(s.keys) == 0 && !strings.EqualFold(r.Header.Get("X-ENFORCE-AUTHENTICATION"), "true") {
		return caller{kind: AccountKey, admin: true, account: adminAccount}, true
	}
	return caller{}, false
}

func (s *Server) findProject(id string) *project {
	n, ok := parseID(id)
	for _, p := range s.projects {
		if ok && p.id == n {
			return p
		}
	}
	return nil
}

// challenge asks for a key, except from those that said not to (ApiAuthenticator).
func challenge(w http.ResponseWriter, r *http.Request) {
	if strings.EqualFold(r.Header.Get("Connection"), "upgrade") || r.Header.Get("X-API-No-Challenge") == "true" ||
		r.Header.Get("X-ENFORCE-AUTHENTICATION") != "" {
		return
	}
	w.Header().Set("WWW-Authenticate", `Basic realm="Enter API access key and secret key as username and password"`)
}

// accountHeaders are set on every answer to a known caller.
func accountHeaders(w http.ResponseWriter, c caller) {
	h := w.Header()
	h.Set("X-API-ACCOUNT-KIND", c.accountKind())
	if c.project == nil {
		return
	}
	id := formatID(prefixProject, c.project.id)
	h.Set("X-API-ACCOUNT-ID", id)
	h.Set("X-API-USER-ID", c.account)
	h.Set("X-API-ACCOUNT-NAME", c.project.name)
	if c.admin {
		h.Set("X-API-ACCOUNT-NAME", "admin")
	}
}
