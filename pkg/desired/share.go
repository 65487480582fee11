package desired

import "reflect"

// share lets targets have one copy of what they say alike: thousands of them name the
// same stacks and are judged by the same gates. What Parse returns is never changed,
// so nobody can tell.
func share(targets []Target) {
	s := sharer{texts: map[string]string{}, values: map[any]reflect.Value{}}
	for i := range targets {
		s.visit(reflect.ValueOf(&targets[i]).Elem())
	}
}

// sharer has the first copy of each text, and of each value behind a pointer.
type sharer struct {
	texts  map[string]string
	values map[any]reflect.Value
}

func (s *sharer) visit(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				s.visit(v.Field(i))
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			s.visit(v.Index(i))
		}
	case reflect.Pointer:
		s.visitPointer(v)
	case reflect.String:
		s.visitText(v)
	default: // Numbers and booleans take no more than a reference to them would.
	}
}

// visitPointer shares what a pointer points to. What is below it goes first: then two
// structs are the same when their fields are, pointers among them.
func (s *sharer) visitPointer(v reflect.Value) {
	if v.IsNil() {
		return
	}
	s.visit(v.Elem())
	if !v.Elem().Comparable() {
		return // It has a list or a mapping, and keeps its own.
	}
	value := v.Elem().Interface()
	if first, ok := s.values[value]; ok {
		v.Set(first)
	} else {
		s.values[value] = v
	}
}

func (s *sharer) visitText(v reflect.Value) {
	text := v.String()
	if first, ok := s.texts[text]; ok {
		v.SetString(first)
	} else {
		s.texts[text] = text
	}
}
