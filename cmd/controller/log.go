package main

import (
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/go-logr/logr"
	"github.com/go-logr/zapr"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/term"
)

// isTerminal says that a person reads w.
func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// hasColour says whether w may get colours (https://no-color.org).
func hasColour(w io.Writer) bool {
	return isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// newLogger logs to w. Secrets never reach it: the configuration holds only where
// they are.
func newLogger(o *options, w io.Writer) logr.Logger {
	levels := map[string]zapcore.Level{"error": zapcore.ErrorLevel, "info": zapcore.InfoLevel, "debug": zapcore.DebugLevel}
	c := zap.NewProductionEncoderConfig()
	c.TimeKey, c.EncodeTime = "time", zapcore.RFC3339NanoTimeEncoder
	encoder := zapcore.NewJSONEncoder(c)
	if o.logFormat == "console" || o.logFormat == "auto" && isTerminal(w) {
		c.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
		if hasColour(w) {
			c.EncodeLevel = zapcore.CapitalColorLevelEncoder
		}
		encoder = zapcore.NewConsoleEncoder(c)
	}
	core := zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(w)), levels[o.logLevel])
	return zapr.NewLogger(zap.New(core))
}

// plainLog tells a person what goes on: the message and, after a colon, its
// values. What is only for debugging is left out, and all of it until isWanted.
type plainLog struct {
	w        io.Writer
	isWanted *atomic.Bool
}

// Init implements logr.LogSink.
func (p plainLog) Init(logr.RuntimeInfo) {}

// Enabled implements logr.LogSink.
func (p plainLog) Enabled(level int) bool { return level == 0 && p.isWanted.Load() }

// Info implements logr.LogSink.
func (p plainLog) Info(_ int, msg string, keysAndValues ...any) {
	text := msg
	for i := 1; i < len(keysAndValues); i += 2 {
		text += fmt.Sprintf(": %v", keysAndValues[i])
	}
	fmt.Fprintln(p.w, "drover:", oneLine(text))
}

// Error implements logr.LogSink.
func (p plainLog) Error(err error, msg string, _ ...any) { p.Info(0, msg, "err", err) }

// WithValues implements logr.LogSink.
func (p plainLog) WithValues(...any) logr.LogSink { return p }

// WithName implements logr.LogSink.
func (p plainLog) WithName(string) logr.LogSink { return p }
