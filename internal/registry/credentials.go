package registry

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
)

// credentials are a user name and a password; the zero value is nobody.
type credentials struct{ username, password string }

func (c credentials) isZero() bool { return c == credentials{} }

// basic is the value of an Authorization header.
func (c credentials) basic() string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(c.username+":"+c.password))
}

// readCredentials finds a registry's credentials: its own username and password,
// else its Docker configuration, else none. It reads them anew each time, so that
// a rotated secret is found after the first refusal.
func readCredentials(config desired.Registry, secret secretFunc) (credentials, error) {
	if config.Username != "" {
		password, err := secret(config.Password)
		if err != nil {
			return credentials{}, unusable("reading the password of registry %s: %v", config.Host, err)
		}
		return credentials{config.Username, password}, nil
	}
	if config.DockerConfig == "" {
		return credentials{}, nil
	}
	body, err := readFile(config.DockerConfig, 1<<20)
	if err != nil {
		return credentials{}, unusable("reading the Docker configuration: %v", err)
	}
	return parseDockerConfig(body, config.Host)
}

// parseDockerConfig finds a host's entry under auths. Its errors never quote the
// file.
func parseDockerConfig(body []byte, host string) (credentials, error) {
	var config dockerConfig
	if err := json.Unmarshal(body, &config); err != nil {
		return credentials{}, unusable("the Docker configuration is not valid JSON")
	}
	if helper := config.CredHelpers[host]; helper != "" {
		return credentials{}, errHelper(host, "the credential helper "+clean(helper))
	}
	for key, entry := range config.Auths {
		if dockerConfigHost(key) != host {
			continue
		}
		switch {
		case entry.IdentityToken != "":
			return credentials{}, errHelper(host, "an identity token")
		case entry.Auth != "":
			return parseAuth(entry.Auth, host)
		case entry.Username != "":
			return credentials{entry.Username, entry.Password}, nil
		}
	}
	if config.CredsStore != "" {
		return credentials{}, errHelper(host, "the credential store "+clean(config.CredsStore))
	}
	return credentials{}, nil
}

// parseAuth reads base64(username:password).
func parseAuth(auth, host string) (credentials, error) {
	plain, err := base64.StdEncoding.DecodeString(strings.TrimSpace(auth))
	username, password, ok := strings.Cut(string(plain), ":")
	if err != nil || !ok || username == "" {
		return credentials{}, unusable("the entry of %s in the Docker configuration is not base64 of username:password", host)
	}
	// docker pads with NUL bytes in old versions (docker/cli, config file decodeAuth).
	return credentials{username, strings.Trim(password, "\x00")}, nil
}

// dockerConfigHost is the host of a key under auths, which may be a host or an
// old URL: Docker Hub is https://index.docker.io/v1/.
func dockerConfigHost(key string) string {
	key = strings.TrimPrefix(strings.TrimPrefix(key, "https://"), "http://")
	host, _, _ := strings.Cut(key, "/")
	if host == "index.docker.io" || host == "registry-1.docker.io" {
		return "docker.io"
	}
	return host
}
