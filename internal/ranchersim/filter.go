package ranchersim

import (
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// condition is one filter on a column.
type condition struct{ modifier, value string }

// filterSet are the conditions by column; several of one column must all hold.
type filterSet map[string][]condition

// parseFilters takes from a query what names a column. Anything else, a typo included, is silently ignored, and of
// several operators on one column only one survives.
func parseFilters(query url.Values, sch *schema) filterSet {
	set := filterSet{}
	for _, key := range sortedKeys(query) {
		column, modifier := splitFilter(key, sch)
		if column == "" {
			continue
		}
		if have := set[column]; len(have) > 0 && have[0].modifier != modifier {
			set[column] = nil
		}
		for _, value := range query[key] {
			set[column] = append(set[column], condition{modifier, filterValue(sch, column, value)})
		}
	}
	return set
}

// splitFilter reads name_prefix as column and operator; "" when it is no filter.
func splitFilter(key string, sch *schema) (column, modifier string) {
	if _, ok := sch.CollectionFilters[key]; ok {
		return key, "eq"
	}
	cut := strings.LastIndexByte(key, '_')
	if cut < 0 {
		return "", ""
	}
	f, ok := sch.CollectionFilters[key[:cut]]
	if !ok || !slices.Contains(f.Modifiers, key[cut+1:]) {
		return "", ""
	}
	return key[:cut], key[cut+1:]
}

// filterValue turns ids into the numbers they stand for: stackId=1st23 is shown, and compared, as 23.
func filterValue(sch *schema, column, value string) string {
	if column != "id" && !strings.HasPrefix(sch.ResourceFields[column].Type, "reference[") {
		return value
	}
	if n, ok := parseID(value); ok {
		return strconv.Itoa(n)
	}
	return value
}

// match tells whether a record fulfils every condition.
func (f filterSet) match(r *record, sch *schema) bool {
	for column, conditions := range f {
		have := r.column(column)
		value := ""
		if have != nil {
			value = filterValue(sch, column, columnText(have))
		}
		for _, c := range conditions {
			if !c.holds(have == nil, value) {
				return false
			}
		}
	}
	return true
}

// holds compares as SQL does: nothing but null holds for NULL.
func (c condition) holds(null bool, value string) bool {
	switch {
	case c.modifier == "null":
		return null
	case null:
		return false
	case c.modifier == "notnull":
		return true
	}
	switch c.modifier {
	case "eq":
		return value == c.value
	case "ne":
		return value != c.value
	case "prefix":
		return strings.HasPrefix(value, c.value)
	case "like":
		return like(c.value, value)
	case "notlike":
		return !like(c.value, value)
	}
	return c.ordered(value)
}

// ordered compares numbers by value and dates, which sort as text, as text.
func (c condition) ordered(value string) bool {
	order := strings.Compare(value, c.value)
	x, err1 := strconv.ParseInt(value, 10, 64)
	y, err2 := strconv.ParseInt(c.value, 10, 64)
	if err1 == nil && err2 == nil {
		order = int(min(max(x-y, -1), 1))
	}
	switch c.modifier {
	case "lt":
		return order < 0
	case "lte":
		return order <= 0
	case "gt":
		return order > 0
	case "gte":
		return order >= 0
	}
	return true
}

// like is SQL's: % stands for anything.
func like(pattern, value string) bool {
	parts := strings.Split(pattern, "%")
	for n := range parts {
		parts[n] = regexp.QuoteMeta(parts[n])
	}
	re, err := regexp.Compile("(?is)^" + strings.Join(parts, ".*") + "$")
	return err == nil && re.MatchString(value)
}

// render shows the conditions under every column's name.
func (f filterSet) render(sch *schema) object {
	o := object{}
	for _, column := range sch.columns {
		var shown any
		if conditions := f[column]; len(conditions) > 0 {
			list := make([]any, len(conditions))
			for n, c := range conditions {
				list[n] = object{{"modifier", c.modifier}, {"value", c.value}}
			}
			shown = list
		}
		o.set(column, shown)
	}
	return o
}
