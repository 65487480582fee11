package registrytest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/docker/distribution/configuration"
	"github.com/docker/distribution/registry/auth/token"
	"golang.org/x/crypto/bcrypt"
)

const (
	// service is the name that tokens are made out to.
	service = "registrytest"
	// realm is what basic authentication calls itself.
	realm = "registrytest"
)

// auth is the auth section of the configuration.
func (r *Registry) auth() (configuration.Auth, error) {
	switch r.options.Auth {
	case AuthBasic:
		path, err := r.writeUsers()
		return configuration.Auth{"htpasswd": {"realm": realm, "path": path}}, err
	case AuthToken:
		return r.tokenAuth()
	case AuthNone:
	}
	return nil, nil
}

// writeUsers writes the htpasswd file. The lowest cost keeps tests quick: the
// library hashes the password again for each request.
func (r *Registry) writeUsers() (string, error) {
	var lines strings.Builder
	for name, password := range r.options.Users {
		hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
		if err != nil {
			return "", fmt.Errorf("hashing the password of %s: %w", name, err)
		}
		fmt.Fprintf(&lines, "%s:%s\n", name, hash)
	}
	path := filepath.Join(r.dir, "htpasswd")
	return path, os.WriteFile(path, []byte(lines.String()), 0o600)
}

// tokenAuth makes the token service's key and tells the library to trust it.
func (r *Registry) tokenAuth() (configuration.Auth, error) {
	var err error
	if r.issuer, err = newIssuer(); err != nil {
		return nil, err
	}
	path := filepath.Join(r.dir, "token.pem")
	if err := os.WriteFile(path, r.issuer.bundle, 0o600); err != nil {
		return nil, fmt.Errorf("writing the token certificate: %w", err)
	}
	where := r.options.Realm
	if where == "" {
		where = r.URL() + "/token"
	}
	return configuration.Auth{"token": {
		"realm": where, "service": service, "issuer": service, "rootcertbundle": path,
	}}, nil
}

// issuer signs tokens.
type issuer struct {
	key *ecdsa.PrivateKey
	// certificate is the DER, sent along with each token.
	certificate []byte
	// bundle is the same as PEM.
	bundle []byte
}

func newIssuer() (*issuer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the token key: %w", err)
	}
	der, err := selfSigned(key, "registrytest tokens")
	if err != nil {
		return nil, err
	}
	return &issuer{key, der, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}, nil
}

// serveToken is the token service (distribution, docs/spec/auth/token.md). One
// token may be asked for several scopes. Without users it gives out what is asked
// for.
func (r *Registry) serveToken(w http.ResponseWriter, req *http.Request) {
	name, password, _ := req.BasicAuth()
	if want, known := r.options.Users[name]; len(r.options.Users) > 0 && (!known || want != password) {
		w.Header().Set("WWW-Authenticate", `Basic realm="`+realm+`"`)
		http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`, http.StatusUnauthorized)
		return
	}
	signed, err := r.issuer.sign(name, req.URL.Query()["scope"], r.ttl())
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"token": signed, "expires_in": int(r.ttl().Seconds()), "issued_at": time.Now().UTC(),
	})
}

func (r *Registry) ttl() time.Duration {
	if r.options.TokenTTL > 0 {
		return r.options.TokenTTL
	}
	return 5 * time.Minute
}

// sign makes a token for scopes such as repository:gf/chat:pull,push.
func (i *issuer) sign(subject string, scopes []string, ttl time.Duration) (string, error) {
	now := time.Now()
	claims := token.ClaimSet{
		Issuer: service, Audience: service, Subject: subject, JWTID: rand.Text(),
		IssuedAt: now.Unix(), NotBefore: now.Unix() - 1, Expiration: now.Add(ttl).Unix(),
	}
	for _, scope := range strings.Fields(strings.Join(scopes, " ")) {
		if access, ok := parseScope(scope); ok {
			claims.Access = append(claims.Access, access)
		}
	}
	header := token.Header{Type: "JWT", SigningAlg: "ES256", X5c: []string{base64.StdEncoding.EncodeToString(i.certificate)}}
	return i.seal(header, claims)
}

// seal signs header and claims as RFC 7515 says.
func (i *issuer) seal(header token.Header, claims token.ClaimSet) (string, error) {
	h, err := json.Marshal(header)
	if err != nil {
		return "", err
	}
	c, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	payload := base64.RawURLEncoding.EncodeToString(h) + "." + base64.RawURLEncoding.EncodeToString(c)
	sum := sha256.Sum256([]byte(payload))
	x, y, err := ecdsa.Sign(rand.Reader, i.key, sum[:])
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	signature := append(x.FillBytes(make([]byte, 32)), y.FillBytes(make([]byte, 32))...)
	return payload + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// parseScope reads type:name:actions; a name may hold a colon.
func parseScope(scope string) (*token.ResourceActions, bool) {
	kind, rest, ok := strings.Cut(scope, ":")
	last := strings.LastIndexByte(rest, ':')
	if !ok || last < 0 {
		return nil, false
	}
	return &token.ResourceActions{Type: kind, Name: rest[:last], Actions: strings.Split(rest[last+1:], ",")}, true
}

// newCertificate makes a CA and a loopback server's certificate signed by it.
func newCertificate() (tls.Certificate, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, fmt.Errorf("making the registry's key: %w", err)
	}
	der, err := selfSigned(key, "registrytest")
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, ca, nil
}

// selfSigned is a certificate that is its own CA, for loopback names, for a week.
func selfSigned(key *ecdsa.PrivateKey, name string) ([]byte, error) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(7 * 24 * time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IsCA:        true, BasicConstraintsValid: true,
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("signing the certificate of %s: %w", name, err)
	}
	return der, nil
}

func pool(ca []byte) *x509.CertPool {
	p := x509.NewCertPool()
	p.AppendCertsFromPEM(ca)
	return p
}
