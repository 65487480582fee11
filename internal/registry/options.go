package registry

import (
	"context"
	"net"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
)

// Options are what a Watcher is made with. The zero value works.
type Options struct {
	// Secret finds a secret; nil is desired.Secret.Value.
	Secret func(desired.Secret) (string, error)
	// OnChange is called with a reference, as Update was given it, when its digest
	// changes or its Problem begins, ends or turns into one of another cause. It
	// must not block.
	OnChange func(ref string)
	// RequestTimeout bounds one request, body and all; 0 means 10 s.
	RequestTimeout time.Duration
	// Dial connects; nil means the network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// withDefaults fills in what was left out.
func (o Options) withDefaults() Options {
	if o.Secret == nil {
		o.Secret = desired.Secret.Value
	}
	if o.OnChange == nil {
		o.OnChange = func(string) {}
	}
	if o.RequestTimeout <= 0 {
		o.RequestTimeout = defaultTimeout
	}
	return o
}
