package rancher

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"strconv"
)

const (
	// pageSize is asked for: Rancher's default is 100, its most 3000
	// (ParseCollectionAttributes#parsePagination).
	pageSize = 1000
	// minPageSize is as small as pages become when they are too large to read.
	minPageSize = 20
	// maxPages bounds one listing.
	maxPages = 2000
)

// page is what a collection says besides its data.
type page struct {
	Type         string
	ResourceType string
	Next         string
	// Items is how many were handed on.
	Items int
}

// list walks a collection and hands each item to each, which must bear to see an
// item twice: pages go by offset, so rows repeat or fall between pages when
// others come and go, and a page is read again after a fault.
func list[T any](ctx context.Context, c *Client, op string, u *url.URL, resource string, each func(*T) error) error {
	for size := pageSize; ; size /= 4 {
		err := listPages(ctx, c, op, withLimit(u, size), resource, each)
		var e *Error
		if !errors.As(err, &e) || e.Code != CodeTooLarge || size < minPageSize {
			return err
		}
	}
}

// listPages follows pagination.next until it is null.
func listPages[T any](ctx context.Context, c *Client, op string, u *url.URL, resource string, each func(*T) error) error {
	seen := map[string]bool{}
	for range maxPages {
		seen[u.String()] = true
		p, err := readPage(ctx, c, op, u, each)
		if err != nil {
			return err
		}
		if err := p.check(op, resource); err != nil {
			return err
		}
		if p.Next == "" {
			return nil
		}
		if u, err = c.nextPage(op, u, p.Next, seen); err != nil {
			return err
		}
	}
	return &Error{Op: op, Status: 200, Code: CodeTooLarge, Message: "the list has no end"}
}

// check says what is wrong with a page that should be one of a resource.
func (p page) check(op, resource string) error {
	if p.Type == "collection" && p.ResourceType == resource {
		return nil
	}
	message := "the answer is no list of " + resource
	if got := clip(p.Type + " " + p.ResourceType); got != "" {
		message += " but " + got
	}
	return &Error{Op: op, Status: 200, Code: CodeMismatch, Message: message + ": is this Rancher's address?"}
}

// nextPage checks where a list goes on: at the same place, somewhere new.
func (c *Client) nextPage(op string, from *url.URL, next string, seen map[string]bool) (*url.URL, error) {
	u, err := c.rebase(next)
	if err != nil {
		return nil, err
	}
	// The path is ours: the link's is lower-cased and may name another list.
	u.Path = from.Path
	if seen[u.String()] {
		return nil, &Error{Op: op, Status: 200, Code: CodeMismatch, Message: "the list's pages go in a circle"}
	}
	return u, nil
}

// withLimit asks for pages of a size.
func withLimit(u *url.URL, size int) *url.URL {
	sized := *u
	q := sized.Query()
	q.Set("limit", strconv.Itoa(size))
	sized.RawQuery = q.Encode()
	return &sized
}

// readPage reads one page, item by item, so that a page costs the memory of its
// largest item.
func readPage[T any](ctx context.Context, c *Client, op string, u *url.URL, each func(*T) error) (page, error) {
	var p page
	err := c.read(ctx, op, u, func(body io.Reader) error {
		var err error
		p, err = decodePage(json.NewDecoder(body), each)
		return err
	})
	return p, err
}

// decodePage walks the members of a collection's envelope.
func decodePage[T any](d *json.Decoder, each func(*T) error) (page, error) {
	var p page
	if err := expect(d, json.Delim('{')); err != nil {
		return p, err
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return p, jsonError(err)
		}
		if err := decodeMember(d, key, &p, each); err != nil {
			return p, err
		}
	}
	return p, expect(d, json.Delim('}'))
}

// decodeMember reads the value behind one key of the envelope.
func decodeMember[T any](d *json.Decoder, key json.Token, p *page, each func(*T) error) error {
	switch key {
	case "type":
		return jsonErrorOf(d.Decode(&p.Type))
	case "resourceType":
		return jsonErrorOf(d.Decode(&p.ResourceType))
	case "pagination":
		var pagination struct {
			Next string `json:"next"`
		}
		err := d.Decode(&pagination)
		p.Next = pagination.Next
		return jsonErrorOf(err)
	case "data":
		return decodeItems(d, p, each)
	}
	var skipped json.RawMessage
	return jsonErrorOf(d.Decode(&skipped))
}

// decodeItems hands on the items of the data array. Raw bytes are valid until each
// returns.
func decodeItems[T any](d *json.Decoder, p *page, each func(*T) error) error {
	if err := expect(d, json.Delim('[')); err != nil {
		return err
	}
	item := new(T)
	for d.More() {
		if raw, isRaw := any(item).(*json.RawMessage); isRaw {
			*raw = (*raw)[:0] // Bytes are for each to read, not to keep: 35 MB of 15,000 items.
		} else {
			item = new(T)
		}
		if err := d.Decode(item); err != nil {
			return jsonError(err)
		}
		p.Items++
		if err := each(item); err != nil {
			return err
		}
	}
	return expect(d, json.Delim(']'))
}

// expect reads one token that must be want.
func expect(d *json.Decoder, want json.Delim) error {
	got, err := d.Token()
	if err != nil {
		return jsonError(err)
	}
	if got != want {
		return &Error{Code: CodeNotJSON, Message: "the answer is not what Rancher answers"}
	}
	return nil
}

// jsonErrorOf is jsonError for results that may be nil.
func jsonErrorOf(err error) error {
	if err == nil {
		return nil
	}
	return jsonError(err)
}
