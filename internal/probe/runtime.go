package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// ask reads the statistics from a runtime socket into body. The socket takes one
// command per connection and closes it after the answer; "show stat" needs no level
// above user, and nothing else is ever sent.
func (f *fetcher) ask(ctx context.Context, at *endpoint, body *bytes.Buffer) *observe.Problem {
	ctx, cancel := context.WithTimeoutCause(ctx, f.timeout, fmt.Errorf("no answer within %v", f.timeout))
	defer cancel()
	conn, err := f.dialer.DialContext(ctx, at.network, at.address)
	if err != nil {
		return socketProblem(ctx, err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err := io.WriteString(conn, at.command()); err != nil {
		return socketProblem(ctx, err)
	}
	body.Reset()
	n, err := body.ReadFrom(io.LimitReader(conn, f.maxPage+1))
	switch {
	case err != nil:
		return socketProblem(ctx, err)
	case n > f.maxPage:
		return problemf(observe.CauseInvalid, "the answer is larger than %d bytes", f.maxPage)
	case n == 0:
		return problemf(observe.CauseUnreachable, "the socket closed without an answer")
	}
	return nil
}

// socketProblem says why there was no answer.
func socketProblem(ctx context.Context, err error) *observe.Problem {
	var op *net.OpError
	switch {
	case ctx.Err() != nil:
		return problemf(observe.CauseUnreachable, "%v", context.Cause(ctx))
	case errors.Is(err, fs.ErrPermission):
		return problemf(observe.CauseAuth, "the runtime socket may not be opened by this user: %v", reason(err, op))
	}
	// A socket that is not there may come with the next reload.
	return problemf(observe.CauseUnreachable, "%v", reason(err, op))
}

// reason is an error without the address, which the message names already.
func reason(err error, op *net.OpError) error {
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}
