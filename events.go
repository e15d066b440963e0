package morango

import (
	"context"
	"iter"
	"sync"
)

// eventBacklog is how many events a listener may lag behind before it misses some.
const eventBacklog = 256

// Events returns what happens from now on until ctx ends, with what had happened by
// then, or until the node closes. A listener that is slower than the engine misses
// events; it never holds the engine up. The sequence is for one listener.
func (n *Node) Events(ctx context.Context) iter.Seq[Event] {
	feed := n.events.subscribe()
	forget := context.AfterFunc(ctx, func() { n.events.unsubscribe(feed) })
	return func(yield func(Event) bool) {
		defer func() {
			forget()
			n.events.unsubscribe(feed)
		}()
		for ev := range feed {
			if !yield(ev) {
				return
			}
		}
	}
}

// broadcast hands every event to all who listen.
type broadcast struct {
	mu     sync.Mutex
	feeds  map[chan Event]bool
	closed bool
}

func newBroadcast() *broadcast { return &broadcast{feeds: map[chan Event]bool{}} }

func (b *broadcast) send(ev Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for feed := range b.feeds {
		select {
		case feed <- ev:
		default:
		}
	}
}

func (b *broadcast) subscribe() chan Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	feed := make(chan Event, eventBacklog)
	if b.closed {
		close(feed)
	} else {
		b.feeds[feed] = true
	}
	return feed
}

// unsubscribe ends a feed; what is in it can still be read. Twice is once.
func (b *broadcast) unsubscribe(feed chan Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.feeds[feed] {
		delete(b.feeds, feed)
		close(feed)
	}
}

func (b *broadcast) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for feed := range b.feeds {
		close(feed)
		delete(b.feeds, feed)
	}
}
