package logs

import (
	"bufio"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// benchServer is the variable that makes the test binary a log server: in a
// process of its own, its work is not counted as the follower's.
const benchServer = "DROVER_LOG_BENCH_SERVER"

// benchLine is an ordinary line of a web service without its prefix and time.
const benchLine = "GET /v1/rooms/4711/messages?limit=50 200 9ms 1832 bytes id=5f2c9a"

// runBenchServer serves until its standard input ends; false when this process
// is no server.
func runBenchServer() bool {
	if os.Getenv(benchServer) == "" {
		return false
	}
	srv := httptest.NewServer(http.HandlerFunc(serveLines))
	fmt.Println(srv.URL)
	_, _ = io.Copy(io.Discard, os.Stdin)
	return true
}

// serveLines writes n lines, at a rate per second or as fast as they go. It
// speaks just enough of RFC 6455 to be cheaper than what it measures.
func serveLines(w http.ResponseWriter, r *http.Request) {
	n, _ := strconv.Atoi(r.URL.Query().Get("n"))
	rate, _ := strconv.Atoi(r.URL.Query().Get("rate"))
	single := r.URL.Query().Get("single") == "true"
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer c.Close()
	out := bufio.NewWriterSize(c, 64<<10)
	fmt.Fprintf(out, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", base64.StdEncoding.EncodeToString(sum[:]))
	for begin, sent := time.Now(), 0; sent < n; {
		due := n
		if rate > 0 {
			due = min(n, int(time.Since(begin).Seconds()*float64(rate))+1)
		}
		for ; sent < due; sent++ {
			writeLine(out, sent)
			if single {
				_ = out.Flush()
			}
		}
		if out.Flush() != nil {
			return
		}
		if rate > 0 {
			time.Sleep(10 * time.Millisecond)
		}
	}
	_, _ = c.Write([]byte{0x88, 2, 1000 >> 8, 1000 & 0xff})
	_, _ = io.Copy(io.Discard, c)
}

// writeLine writes one text frame of less than 64 KiB.
func writeLine(out *bufio.Writer, i int) {
	line := "01 " + time.Now().UTC().Format("2006-01-02T15:04:05.000000000Z07:00") + " " + benchLine + " " + strconv.Itoa(i) + "\n"
	if len(line) < 126 {
		_, _ = out.Write([]byte{0x81, byte(len(line))})
	} else {
		_, _ = out.Write([]byte{0x81, 126, byte(len(line) >> 8), byte(len(line))})
	}
	_, _ = out.WriteString(line)
}

// benchSource answers with the server's address.
type benchSource struct {
	base    string
	n, rate int
	// single sends each frame on its own, as the proxy does; otherwise those of ten
	// milliseconds go together, and the server costs less.
	single bool
}

func (s *benchSource) OpenLogs(context.Context, string, Options) (string, error) {
	return fmt.Sprintf("%s/?n=%d&rate=%d&single=%t", s.base, s.n, s.rate, s.single), nil
}

func (s *benchSource) ContainerState(context.Context, string) (string, error) { return "removed", nil }

// startBenchServer starts the server's process.
func startBenchServer(b *testing.B) string {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), benchServer+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return "ws" + strings.TrimPrefix(strings.TrimSpace(url), "http")
}

func BenchmarkDecoder(b *testing.B) {
	var d Decoder
	line := []byte("01 " + at + benchLine + "\n")
	lines := 0
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		d.Decode(line, func(Record) { lines++ })
	}
	if lines != b.N {
		b.Fatalf("decoded %d lines, want %d", lines, b.N)
	}
}

// BenchmarkStream reads one stream over a loopback websocket: decoded and
// remembered for a resume.
func BenchmarkStream(b *testing.B) {
	src := &benchSource{base: startBenchServer(b), n: b.N}
	lines := 0
	s := newStream(src, nil, "1i1", AllLines, func(Record) { lines++ })
	b.ReportAllocs()
	b.ResetTimer()
	cpu := processCPU(b)
	s.run(b.Context())
	cpu = processCPU(b) - cpu
	if lines != b.N {
		b.Fatalf("%d lines came, want %d", lines, b.N)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lines/s")
	b.ReportMetric(cpu.Seconds()/b.Elapsed().Seconds(), "cores")
}

// BenchmarkFanIn follows 200 streams of 1,000 lines a second each; one operation
// is one second of it. DROVER_BENCH_SECONDS makes a run longer than three.
func BenchmarkFanIn(b *testing.B) {
	b.Run("batched", func(b *testing.B) { fanIn(b, false) })
	b.Run("single", func(b *testing.B) { fanIn(b, true) })
}

func fanIn(b *testing.B, single bool) {
	const streams, rate = 200, 1000
	seconds := 3
	if v, err := strconv.Atoi(os.Getenv("DROVER_BENCH_SECONDS")); err == nil {
		seconds = v
	}
	base := startBenchServer(b)
	for b.Loop() {
		src := &benchSource{base: base, n: seconds * rate, rate: rate, single: single}
		var set []Container
		for i := range streams {
			set = append(set, Container{ID: fmt.Sprintf("1i%d", i), Tail: AllLines})
		}
		begin, cpu := time.Now(), processCPU(b)
		f := Follow(b.Context(), src, FollowOptions{}, set...)
		var heap uint64
		sampled := begin
		for lines := 0; lines < streams*rate*seconds; {
			batch, err := f.Next(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			for i := range batch {
				if batch[i].Dropped > 0 {
					b.Fatalf("%d lines were dropped", batch[i].Dropped)
				}
			}
			lines += len(batch)
			if time.Since(sampled) > time.Second {
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				heap, sampled = max(heap, m.HeapInuse), time.Now()
			}
		}
		took := time.Since(begin)
		b.ReportMetric((processCPU(b)-cpu).Seconds()/took.Seconds(), "cores")
		b.ReportMetric(float64(streams*rate*seconds)/took.Seconds(), "lines/s")
		b.ReportMetric(float64(heap)/(1<<20), "MB-heap")
		f.Close()
	}
	b.ReportMetric(maxRSS(b), "MB-rss")
}

// processCPU is the time this process spent, in user and kernel.
func processCPU(b *testing.B) time.Duration {
	u := usage(b)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// maxRSS is the most memory the process ever had, in MB.
func maxRSS(b *testing.B) float64 { return float64(usage(b).Maxrss) / 1024 }

func usage(b *testing.B) syscall.Rusage {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u
}
