//go:build image

package image

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"
)

// apiPort is the daemon's own API over HTTPS, within its container.
const apiPort = "8470"

// TestTrust: the image's certificates are what the binary trusts. A daemon serves
// its API with a certificate that a private authority signed; it is refused, and
// accepted when the authority is appended to the image's own bundle.
func TestTrust(t *testing.T) {
	t.Parallel()
	authority, cert, key := certificates(t)
	const api = `api:
  listen: 127.0.0.1:` + apiPort + `
  token: {file: /run/secrets/drover-token}
  certFile: /etc/drover/api.pem
  keyFile: /etc/drover/api-key.pem
`
	d := nowhere().deploy(t, wishes{config: api, etc: map[string]string{"api.pem": cert, "api-key.pem": key}, network: "none"})
	d.start("daemon")
	// An empty volume takes what the image has at its place.
	bundle := volume(t, "bundle")
	status := []string{
		"run", "--rm", "--network", "container:" + d.daemon, "-v", bundle + ":/etc/ssl/certs", "-v", d.secrets + ":/run/secrets:ro",
		"-e", "DROVER_SERVER=https://localhost:" + apiPort, "-e", "DROVER_TOKEN_FILE=/run/secrets/drover-token", *imageName, "status",
	}
	await(t, "the API is refused for its certificate", time.Minute, func() (bool, string) {
		r := try(t, status...)
		return r.code != 0 && strings.Contains(r.errOut, "certificate signed by unknown authority"), r.errOut
	})
	if got := shell(t, authority, `cat >>/v/ca-certificates.crt; grep -c BEGIN /v/ca-certificates.crt`, "-v", bundle+":/v"); len(got) < 3 {
		t.Errorf("the bundle has %s certificates, want those of the web", got)
	}
	if got := docker(t, status...); !strings.Contains(got, "parrot-rest") {
		t.Errorf("the status over HTTPS is %q", got)
	}
}

// TestTimeZone: the image brings the zones, and TZ chooses the one in which people
// are told the time; what programs read is in UTC.
func TestTimeZone(t *testing.T) {
	t.Parallel()
	d := nowhere().deploy(t, wishes{options: []string{"-e", "TZ=Asia/Shanghai", "-e", "DROVER_LOG_FORMAT=console"}})
	d.start("daemon")
	await(t, "the daemon has started", time.Minute, func() (bool, string) {
		r := try(t, "logs", "--timestamps", d.daemon)
		engines, daemons, ok := strings.Cut(r.errOut, " ")
		at, err := time.Parse(time.RFC3339Nano, engines)
		if !ok || err != nil {
			return false, r.errOut
		}
		// Either side of a full minute.
		zone := time.FixedZone("Shanghai", 8*60*60)
		for _, early := range []time.Duration{0, time.Minute} {
			if strings.HasPrefix(daemons, at.Add(-early).In(zone).Format("15:04:")) {
				return true, ""
			}
		}
		return false, "the daemon tells another time than Shanghai's: " + r.errOut
	})
}

// certificates are a private authority and what it signed for localhost, as PEM.
func certificates(t *testing.T) (authority, cert, key string) {
	t.Helper()
	public := func(of *ecdsa.PrivateKey, template, parent *x509.Certificate, by *ecdsa.PrivateKey) string {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		der, err := x509.CreateCertificate(rand.Reader, template, parent, &of.PublicKey, by)
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a private authority"},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "drover"}, DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	caKey, leafKey := newKey(t), newKey(t)
	authority = public(caKey, ca, ca, caKey)
	cert = public(leafKey, leaf, ca, caKey)
	der, err := x509.MarshalPKCS8PrivateKey(leafKey)
	if err != nil {
		t.Fatal(err)
	}
	return authority, cert, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
