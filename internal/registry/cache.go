package registry

import (
	"container/list"
	"sync"
)

// lru is a map of bounded size that forgets what was not used for longest.
type lru[K comparable, V any] struct {
	mu    sync.Mutex
	size  int
	order *list.List
	items map[K]*list.Element
}

// pair is what an element of lru.order holds.
type pair[K comparable, V any] struct {
	key   K
	value V
}

func newLRU[K comparable, V any](size int) *lru[K, V] {
	return &lru[K, V]{size: size, order: list.New(), items: map[K]*list.Element{}}
}

// get finds a value and marks it as used.
func (l *lru[K, V]) get(key K) (value V, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	element, ok := l.items[key]
	if !ok {
		return value, false
	}
	l.order.MoveToFront(element)
	return element.Value.(pair[K, V]).value, true
}

// put stores a value, at the cost of the one unused for longest.
func (l *lru[K, V]) put(key K, value V) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if element, ok := l.items[key]; ok {
		element.Value = pair[K, V]{key, value}
		l.order.MoveToFront(element)
		return
	}
	l.items[key] = l.order.PushFront(pair[K, V]{key, value})
	for l.order.Len() > l.size {
		last := l.order.Back()
		l.order.Remove(last)
		delete(l.items, last.Value.(pair[K, V]).key)
	}
}
