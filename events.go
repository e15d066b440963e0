package morango

import (
	"context"
	"iter"
	"sync"
)

// eventBacklog is how many events a listener may lag behind before it misses some.
const eventBacklog = 256

// Events returns what happens from now on, until ctx ends or the node closes. A
// listener that is slower than the engine misses events; it never holds the engine up.
func (n *Node) Events(ctx context.Context) iter.Seq[Event] {
	feed := n.events.subscribe()
	return func(yield func(Event) bool) {
		defer n.events.unsubscribe(feed)
		for {
			select {
			case <-ctx.Done():
				return
			case ev, open := <-feed:
				if !open || !yield(ev) {
					return
				}
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

func (b *broadcast) unsubscribe(feed chan Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.feeds, feed)
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
