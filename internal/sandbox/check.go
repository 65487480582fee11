package sandbox

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/ranchersim"
)

// checkResult is one health check as HAProxy words it (configuration manual 2.1, section 9.1, check_status).
type checkResult struct {
	// status is the short word: L7OK, L7STS, L4CON …
	status string
	// code is the HTTP status, 0 when there was none; reason goes with it, or is the connection's error.
	code   int
	reason string
	took   time.Duration
}

func (r checkResult) passed() bool { return r.status == "L7OK" || r.status == "L4OK" }

// Check implements ranchersim.Process by a real request to the container's own address.
func (c *container) Check(ctx context.Context, hc ranchersim.HealthCheck) bool {
	address := net.JoinHostPort(c.IP(), strconv.Itoa(hc.Port))
	return check(ctx, address, hc.RequestLine, hc.Timeout).passed()
}

// check connects to an address and, when there is a request line, expects an answer of 2xx or 3xx.
func check(ctx context.Context, address, requestLine string, timeout time.Duration) checkResult {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	began := time.Now()
	conn, err := (&net.Dialer{Control: onlyLoopback}).DialContext(ctx, "tcp", address)
	if err != nil {
		return connectResult(err, time.Since(began))
	}
	defer conn.Close()
	if requestLine == "" {
		return checkResult{status: "L4OK", took: time.Since(began)}
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	r := ask(conn, requestLine)
	r.took = time.Since(began)
	return r
}

func connectResult(err error, took time.Duration) checkResult {
	if errors.Is(err, syscall.ECONNREFUSED) {
		return checkResult{status: "L4CON", reason: "Connection refused", took: took}
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return checkResult{status: "L4TOUT", took: took}
	}
	return checkResult{status: "L4CON", took: took}
}

// ask sends the request line of a Rancher health check, whose words may stand in quotes: GET "/healthz" "HTTP/1.0".
func ask(conn net.Conn, requestLine string) checkResult {
	line := strings.ReplaceAll(requestLine, `"`, "")
	if !strings.Contains(line, "HTTP/") {
		line += " HTTP/1.0"
	}
	host := ""
	if strings.HasSuffix(line, "HTTP/1.1") {
		host = "Host: " + conn.RemoteAddr().String() + "\r\n"
	}
	if _, err := conn.Write([]byte(line + "\r\n" + host + "Connection: close\r\n\r\n")); err != nil {
		return answerResult(err)
	}
	resp, err := http.ReadResponse(bufio.NewReaderSize(conn, 4096), nil)
	if err != nil {
		return answerResult(err)
	}
	_ = resp.Body.Close()
	_, reason, _ := strings.Cut(resp.Status, " ")
	if resp.StatusCode < 200 || resp.StatusCode > 399 {
		return checkResult{status: "L7STS", code: resp.StatusCode, reason: reason}
	}
	return checkResult{status: "L7OK", code: resp.StatusCode, reason: reason}
}

func answerResult(err error) checkResult {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return checkResult{status: "L7TOUT"}
	}
	return checkResult{status: "L7RSP"}
}
