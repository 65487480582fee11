package sandbox

import (
	"strings"
	"testing"
	"time"
)

func TestParseBehaviour(t *testing.T) {
	tests := []struct {
		label string
		want  Behaviour
	}{
		{"", Behaviour{}},
		{"serve", Behaviour{}},
		{"errors=20%", Behaviour{Errors: 200_000}},
		{"errors=0.5%", Behaviour{Errors: 5_000}},
		{"errors=100%", Behaviour{Errors: 1_000_000}},
		{"serve, latency=300ms", Behaviour{Latency: 300 * time.Millisecond}},
		{"start-delay=5s,never-healthy", Behaviour{StartDelay: 5 * time.Second, NeverHealthy: true}},
		{"unhealthy-after=10s", Behaviour{UnhealthyAfter: 10 * time.Second}},
		{"crash", Behaviour{Crash: true}},
		{"crash-after=10s,log=panic: out of memory", Behaviour{CrashAfter: 10 * time.Second, Log: "panic: out of memory"}},
		{"refuse", Behaviour{Refuse: true}},
		{"refuse-after=3s", Behaviour{RefuseAfter: 3 * time.Second}},
		{"flapping=3s", Behaviour{Flapping: 3 * time.Second}},
		{"not-found=10%,empty=20%,resets=30%", Behaviour{NotFound: 100_000, Empty: 200_000, Resets: 300_000}},
		{"log=a=b,log-rate=100", Behaviour{Log: "a=b", LogRate: 100}},
	}
	for _, tt := range tests {
		got, err := ParseBehaviour(tt.label)
		if err != nil || got != tt.want {
			t.Errorf("ParseBehaviour(%q) = %+v, %v, want %+v", tt.label, got, err, tt.want)
		}
	}
}

func TestParseBehaviourRefuses(t *testing.T) {
	tests := []struct{ label, want string }{
		{"sreve", `label io.drover.sandbox: unknown behaviour "sreve": known are serve, errors=20%`},
		{"serve,", `unknown behaviour ""`},
		{"Errors=20%", `unknown behaviour "Errors"`},
		{"serve=yes", "serve takes no value"},
		{"errors", "errors needs a value"},
		{"errors=20", `errors: "20" is not a share`},
		{"errors=0%", "errors: 0% is not between"},
		{"errors=101%", "errors: 101% is not between"},
		{"errors=1e3%", `errors: "1e3%" is not a share`},
		{"errors=0.00001%", "in steps of 0.0001%"},
		{"latency=5", `latency: "5" is not a time span`},
		{"latency=-1s", "latency: -1s is not between 0 and 1m0s"},
		{"crash-after=2h", "crash-after: 2h is not between 0 and 1h0m0s"},
		{"crash,crash-after=1s", "crash and crash-after exclude each other"},
		{"refuse,refuse-after=1s", "refuse and refuse-after exclude each other"},
		{"flapping=1s,never-healthy", "never-healthy and flapping exclude each other"},
		{"unhealthy-after=1s,never-healthy", "never-healthy and unhealthy-after exclude each other"},
		{"latency=1s,latency=2s", "latency is there twice"},
		{"log=", "log: the text is empty"},
		{"log=a\x00b", "log: the text is not one printable line"},
		{"log-rate=0", `log-rate: "0" is not a number of lines`},
		{"log-rate=10001", "between 1 and 10000"},
		{strings.Repeat("x", 1025), "longer than 1024 bytes"},
	}
	for _, tt := range tests {
		if got, err := ParseBehaviour(tt.label); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("ParseBehaviour(%q) = %+v, %v, want an error with %q", tt.label, got, err, tt.want)
		}
	}
}

// FuzzParseBehaviour holds that whatever is accepted can be written down and read again as the same.
func FuzzParseBehaviour(f *testing.F) {
	for _, seed := range strings.Split(behaviourWords, ", ") {
		f.Add(seed)
	}
	f.Add("errors=33.3333%,latency=1m,log=x")
	f.Add("errors=.5%,log= = ")
	f.Fuzz(func(t *testing.T, label string) {
		b, err := ParseBehaviour(label)
		if err != nil {
			return
		}
		if b.Errors < 0 || b.Errors > million || b.Latency > maxLatency || b.LogRate > maxLogRate {
			t.Errorf("ParseBehaviour(%q) = %+v is out of bounds", label, b)
		}
		again, err := ParseBehaviour(b.String())
		if err != nil || again != b {
			t.Errorf("ParseBehaviour(%q) = %+v, %v, want %+v", b.String(), again, err, b)
		}
	})
}

func TestCadenceSpreadsFailuresEvenly(t *testing.T) {
	for _, seed := range []uint64{0, 1, 999_999, 1 << 40} {
		c := newCadence(200_000, seed)
		var failed []bool
		for range 1000 {
			failed = append(failed, c.next())
		}
		for i := 0; i+5 <= len(failed); i++ {
			if n := count(failed[i : i+5]); n != 1 {
				t.Fatalf("seed %d: %d of the five requests from %d on fail, want 1", seed, n, i)
			}
		}
	}
}

func TestCadenceKeepsItsShareForLong(t *testing.T) {
	c := newCadence(333_333, 0)
	n := 0
	for range 3_000_000 {
		if c.next() {
			n++
		}
	}
	if n != 999_999 {
		t.Errorf("%d of 3,000,000 requests fail, want 999,999", n)
	}
}

func count(list []bool) (n int) {
	for _, b := range list {
		if b {
			n++
		}
	}
	return n
}

func TestFlappingIsHealthyHalfTheTime(t *testing.T) {
	b := Behaviour{Flapping: 3 * time.Second}
	for age, want := range map[time.Duration]bool{0: true, 2999 * time.Millisecond: true, 3 * time.Second: false, 5 * time.Second: false, 6 * time.Second: true} {
		if got := b.isHealthy(age); got != want {
			t.Errorf("isHealthy at %s = %t, want %t", age, got, want)
		}
	}
}
