package probe

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// errNotJSON says that the answer is no statistics in JSON. HAProxy before 2.1
// answers ;json with 200 and the page for people (measured, 1.5 to 1.8).
var errNotJSON = errors.New("not HAProxy statistics in JSON")

// field is one value of a row, as "show stat json" writes it: rows are arrays of
// fields, and fields that do not apply are left out.
type field struct {
	ObjType string `json:"objType"`
	Field   struct {
		Name string `json:"name"`
	} `json:"field"`
	Value struct {
		Type  string          `json:"type"`
		Value json.RawMessage `json:"value"`
	} `json:"value"`
}

// parseJSON reads a whole answer in JSON. An error rejects all of it.
func (p *page) parseJSON(body []byte) error {
	p.rows = p.rows[:0]
	p.forgetTexts()
	if trimmed := bytes.TrimSpace(body); len(trimmed) == 0 || trimmed[0] != '[' {
		return notJSON(trimmed)
	}
	found := make(map[string]bool)
	d := json.NewDecoder(bytes.NewReader(body))
	if err := p.parseJSONRows(d, found); err != nil {
		p.rows = p.rows[:0]
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		p.rows = p.rows[:0]
		return fmt.Errorf("%w: something follows its end", errNotJSON)
	}
	if len(p.rows) == 0 {
		return fmt.Errorf("%w: there are no rows", errNotJSON)
	}
	if err := checkMandatory(found); err != nil {
		p.rows = p.rows[:0]
		return err
	}
	p.header.layout = layoutWith(func(column string) bool { return found[column] })
	return nil
}

// notJSON says what else it is.
func notJSON(body []byte) error {
	switch {
	case len(body) == 0:
		return fmt.Errorf("%w: the answer is empty", errNotJSON)
	case body[0] == '<':
		return &unusableError{"it answers ;json with a web page: HAProxy before 2.1 offers CSV only, so leave ;json out of the address"}
	}
	var failed struct {
		ErrorStr string `json:"errorStr"`
	}
	if json.Unmarshal(body, &failed) == nil && failed.ErrorStr != "" {
		return fmt.Errorf("%w: HAProxy says %.200q", errNotJSON, failed.ErrorStr)
	}
	return fmt.Errorf("%w: it begins with %.20q", errNotJSON, body)
}

// parseJSONRows reads the array of rows, one after the other.
func (p *page) parseJSONRows(d *json.Decoder, found map[string]bool) error {
	if _, err := d.Token(); err != nil {
		return fmt.Errorf("%w: %w", errNotJSON, err)
	}
	var fields []field
	for d.More() {
		fields = fields[:0]
		if err := d.Decode(&fields); err != nil {
			return fmt.Errorf("%w: row %d: %w", errNotJSON, len(p.rows)+1, err)
		}
		if err := p.jsonRow(fields, found); err != nil {
			return fmt.Errorf("row %d: %w", len(p.rows), err)
		}
	}
	if _, err := d.Token(); err != nil {
		return fmt.Errorf("%w: %w", errNotJSON, err)
	}
	return nil
}

// jsonRow makes the next row of its fields.
func (p *page) jsonRow(fields []field, found map[string]bool) error {
	if len(p.rows) == maxRows {
		return fmt.Errorf("more than %d rows", maxRows)
	}
	if len(fields) > maxColumns {
		return fmt.Errorf("more than %d fields", maxColumns)
	}
	p.rows = append(p.rows, newRow())
	r := &p.rows[len(p.rows)-1]
	seen := make(map[action]bool, len(mandatory))
	for i := range fields {
		f := &fields[i]
		found[f.Field.Name] = true
		act, isMandatory := mandatory[f.Field.Name]
		if !isMandatory {
			act = optional[f.Field.Name]
		}
		if act == skip {
			continue
		}
		if seen[act] {
			return fmt.Errorf("field %.40q comes twice", f.Field.Name)
		}
		seen[act] = true
		cell, err := f.cell()
		if err == nil && len(cell) > 0 {
			err = p.set(r, act, cell)
		}
		if err != nil {
			return fmt.Errorf("field %.40q: %w", f.Field.Name, err)
		}
	}
	if err := r.verify(); err != nil {
		return fmt.Errorf("%.100q/%.100q: %w", r.proxy, r.name, err)
	}
	return nil
}

// cell is the value as CSV would show it.
func (f *field) cell() ([]byte, error) {
	if f.Value.Type != "str" {
		return f.Value.Value, nil
	}
	var text string
	if err := json.Unmarshal(f.Value.Value, &text); err != nil {
		return nil, err
	}
	return []byte(text), nil
}
