//go:build depskeep

// Package depskeep keeps go.mod steady while packages are being written.
package depskeep

import (
	_ "github.com/cenkalti/backoff/v4"
	_ "github.com/coder/websocket"
	_ "github.com/distribution/reference"
	_ "github.com/docker/distribution/configuration"
	_ "github.com/docker/distribution/manifest/manifestlist"
	_ "github.com/docker/distribution/manifest/ocischema"
	_ "github.com/docker/distribution/manifest/schema2"
	_ "github.com/docker/distribution/registry/auth/htpasswd"
	_ "github.com/docker/distribution/registry/auth/token"
	_ "github.com/docker/distribution/registry/client/auth/challenge"
	_ "github.com/docker/distribution/registry/handlers"
	_ "github.com/docker/distribution/registry/storage/driver/inmemory"
	_ "github.com/go-logr/logr"
	_ "github.com/go-logr/zapr"
	_ "github.com/invopop/jsonschema"
	_ "github.com/opencontainers/go-digest"
	_ "github.com/opencontainers/image-spec/specs-go/v1"
	_ "github.com/rogpeppe/go-internal/testscript"
	_ "github.com/santhosh-tekuri/jsonschema/v6"
	_ "github.com/spf13/cobra"
	_ "github.com/spf13/cobra/doc"
	_ "go.uber.org/goleak"
	_ "go.uber.org/zap"
	_ "golang.org/x/sync/errgroup"
	_ "golang.org/x/term"
	_ "golang.org/x/time/rate"
	_ "k8s.io/client-go/util/workqueue"
	_ "pgregory.net/rapid"
	_ "sigs.k8s.io/yaml"
	_ "go.yaml.in/yaml/v3"
)
