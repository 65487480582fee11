package ranchersim

import (
	"bytes"
	"encoding/binary"
)

const (
	// dockerPart is the size at which Docker's copier splits a line; each part has a header and a time of its own.
	dockerPart = 16 << 10
	// dockerHeader is the length of a header of Docker's multiplexed stream: output, three zeros, length in four bytes.
	dockerHeader = 8
	// dockerTime is RFC 3339 with all nine digits.
	dockerTime = "2006-01-02T15:04:05.000000000Z07:00"
)

// appendLogFrames appends the frames in which a line reaches a client of the real server.
func appendLogFrames(dst [][]byte, line LogLine, timestamps bool) [][]byte {
	return appendAgentFrames(dst, dockerStream(line, timestamps))
}

// dockerStream is what Docker's logs call gives for a line: with a header before each part, but for a terminal, whose
// output is as the terminal made it.
func dockerStream(line LogLine, timestamps bool) []byte {
	isTerminal := line.Stream == 0
	end := "\n"
	if isTerminal {
		end = "\r\n"
	}
	text := line.Text + end
	stamp := ""
	if timestamps {
		stamp = line.Time.UTC().Format(dockerTime) + " "
	}
	var stream []byte
	for text != "" {
		part := text[:min(len(text), dockerPart)]
		text = text[len(part):]
		if !isTerminal {
			stream = append(stream, byte(line.Stream), 0, 0, 0)
			stream = binary.BigEndian.AppendUint32(stream, uint32(len(stamp)+len(part)))
		}
		stream = append(append(stream, stamp...), part...)
	}
	return stream
}

// appendAgentFrames is what the agent makes of Docker's stream. It splits at line feeds before it looks for headers, so
// that a header that holds the byte 0x0a comes as an empty frame and the line after it as one of unknown origin, and a
// header in the middle of a line stays there (rancher/agent, service/hostapi/logs/logs.go).
func appendAgentFrames(dst [][]byte, stream []byte) [][]byte {
	for len(stream) > 0 {
		piece := stream
		if n := bytes.IndexByte(stream, '\n'); n >= 0 {
			piece = stream[:n+1]
		}
		stream = stream[len(piece):]
		switch {
		case len(piece) < 4 || piece[0] > 2 || piece[1] != 0 || piece[2] != 0 || piece[3] != 0:
			dst = append(dst, append([]byte("00 "), piece...))
		case len(piece) <= dockerHeader:
			dst = append(dst, nil)
		default:
			dst = append(dst, append([]byte{'0', '0' + piece[0], ' '}, piece[dockerHeader:]...))
		}
	}
	return dst
}
