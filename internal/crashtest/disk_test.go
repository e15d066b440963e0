//go:build linux

package crashtest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// moment says when and how a victim dies.
type moment string

// The moments of a commit, at which the process dies and the machine goes on; on
// PostgreSQL there is no during.
const (
	before moment = "before" // nothing of it is written
	during moment = "during" // the first of it is written
	after  moment = "after"  // it is on disk, and nobody knows
)

// The ways in which the power fails, and what becomes of the writes since the last sync.
const (
	lost     moment = "lost"     // none is there
	prefix   moment = "prefix"   // some of the first are there, the others are not
	torn     moment = "torn"     // all are there, but of the last only the first or the last part
	shuffled moment = "shuffled" // any sectors of them are there
)

// The troubles of a disk that the process lives through: they begin at an operation, last
// for some, and end.
const (
	full   moment = "full"   // nothing more can be written
	faulty moment = "faulty" // neither written nor synced
)

// spell is how many operations a trouble lasts.
const spell = 12

var (
	kills   = []moment{before, during, after}
	outages = []moment{lost, prefix, torn, shuffled}
	trouble = []moment{full, faulty}
)

// doom is when a victim dies: at the commit or, when the power fails, at the operation
// on files with the number At, counted from when it is armed. The zero value is never.
type doom struct {
	At     int
	Moment moment
	Seed   uint64 // of what a power cut takes
}

func (d doom) String() string { return fmt.Sprintf("%04d %s", d.At, d.Moment) }

func (d doom) outage() bool { return slices.Contains(outages, d.Moment) }

func (d doom) trouble() bool { return slices.Contains(trouble, d.Moment) }

// sector is what a disk writes whole.
const sector = 512

// disk follows what SQLite writes and syncs, and ends the process when its time has
// come. Its methods are not called at once by two.
type disk struct {
	doom    doom
	armed   bool
	commits int // as the next, since it was armed
	ops     int
	due     bool // the commit that is fatal has begun
	refused int  // operations, of a spell

	sides   map[string]*os.File // by path, for a look at what is there; never closed: that would let SQLite's locks go
	fresh   map[string]bool     // files whose names no sync has made sure of
	pending []change            // since the last sync of their file, oldest first
}

// change is what was done to a file and no sync has made sure of.
type change struct {
	path       string
	offset     int64
	old, fresh []byte // what lay there, as far as the file reached, and what lies there now
	size       int64  // of the file before
	cut        bool   // the file was cut off at offset, and old was behind it
	removed    bool   // the file is gone, and old was in it
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func (d *disk) opened(path string, isNew bool) error {
	side, err := os.Open(path)
	if err != nil {
		return err
	}
	if isNew {
		d.fresh[path] = true
	}
	d.sides[path] = side
	return nil
}

// commit is told when a transaction is about to commit.
func (d *disk) commit() {
	if !d.armed {
		return
	}
	d.commits++
	if d.doom.At != d.commits || !slices.Contains(kills, d.doom.Moment) {
		return
	}
	if d.doom.Moment == before {
		d.die()
	}
	d.due = true
}

// refuses says whether the disk does not do the next operation, a write or a sync.
func (d *disk) refuses(isSync bool) bool {
	if !d.armed || !d.doom.trouble() || isSync && d.doom.Moment == full || d.ops+1 < d.doom.At || d.refused == spell {
		return false
	}
	d.ops++
	d.refused++
	return true
}

// step counts an operation, and says whether the power fails at it.
func (d *disk) step() bool {
	if !d.armed {
		return false
	}
	d.ops++
	return d.doom.At == d.ops && d.doom.outage()
}

func (d *disk) write(path string, content []byte, offset int64, do func()) {
	c := change{path: path, offset: offset, fresh: content}
	c.size = d.size(path)
	c.old = d.read(path, offset, int64(len(content)))
	do()
	d.pending = append(d.pending, c)
	if d.step() || d.due && d.doom.Moment == during && strings.HasSuffix(path, "-wal") {
		d.die()
	}
}

func (d *disk) truncate(path string, size int64, do func()) {
	c := change{path: path, offset: size, cut: true}
	c.size = d.size(path)
	c.old = d.read(path, size, c.size-size)
	do()
	d.pending = append(d.pending, c)
	if d.step() {
		d.die()
	}
}

func (d *disk) remove(path string, sure bool, do func()) {
	c := change{path: path, removed: true}
	if exists(path) {
		c.size = d.size(path)
		c.old = d.read(path, 0, c.size)
	}
	do()
	// Writes to it that no sync made sure of are part of what may come back.
	d.settle(func(other change) bool { return other.path == path && !other.removed || sure && other.removed })
	if !sure && c.old != nil {
		d.pending = append(d.pending, c)
	}
	delete(d.fresh, path)
	if d.step() || d.due && d.doom.Moment == after && strings.HasSuffix(path, "-journal") {
		d.die()
	}
}

// sync makes sure of a file; of its name too, which makes sure of all names.
func (d *disk) sync(path string, do func()) {
	if d.step() {
		d.die()
	}
	do()
	named := d.fresh[path]
	d.settle(func(c change) bool { return c.path == path && !c.removed || named && c.removed })
	delete(d.fresh, path)
	if d.due && d.doom.Moment == after && strings.HasSuffix(path, "-wal") {
		d.die()
	}
}

// settle forgets changes that are sure.
func (d *disk) settle(sure func(change) bool) {
	var left []change
	for _, c := range d.pending {
		if !sure(c) {
			left = append(left, c)
		}
	}
	d.pending = left
}

func (d *disk) size(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		panic(err)
	}
	return info.Size()
}

// read returns what lies in a part of a file, as far as the file reaches.
func (d *disk) read(path string, offset, n int64) []byte {
	content := make([]byte, max(n, 0))
	got, err := d.sides[path].ReadAt(content, offset)
	if err != nil && !errors.Is(err, io.EOF) {
		panic(err)
	}
	return content[:got]
}

// die ends the process; when the power fails, the files change first.
func (d *disk) die() {
	if d.doom.outage() {
		if err := d.cut(); err != nil {
			fmt.Println("fail", err)
		}
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
		fmt.Println("fail", err)
	}
	select {} // the signal is on its way
}

// cut leaves on disk what the power cut leaves there.
func (d *disk) cut() error {
	chance := rand.New(rand.NewPCG(d.doom.Seed, uint64(d.doom.At)))
	d.settle(func(c change) bool { return c.removed && exists(c.path) }) // made again since
	for i := len(d.pending) - 1; i >= 0; i-- {
		if err := d.pending[i].undo(); err != nil {
			return err
		}
	}
	kept := d.pending
	switch d.doom.Moment {
	case lost:
		kept = nil
	case prefix:
		kept = kept[:chance.IntN(len(kept)+1)]
	}
	for i, c := range kept {
		last := i == len(kept)-1
		if err := c.redo(survival(d.doom.Moment, last, len(c.fresh), chance)); err != nil {
			return err
		}
	}
	for path := range d.fresh {
		if d.doom.Moment == lost || d.doom.Moment == shuffled && chance.IntN(4) == 0 {
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	return d.muddle(chance)
}

// survival says of each sector of a write, or of the one step that another change is,
// whether it reaches the disk.
func survival(m moment, last bool, n int, chance *rand.Rand) func(i int) bool {
	switch {
	case m == shuffled:
		return func(int) bool { return chance.IntN(2) == 0 }
	case m == torn && last:
		at, tail := chance.IntN(n/sector+1), chance.IntN(2) == 0
		return func(i int) bool { return i >= at == tail }
	}
	return func(int) bool { return true }
}

// muddle fills the file that SQLite shares between processes, and never syncs, with
// something.
func (d *disk) muddle(chance *rand.Rand) error {
	for path := range d.sides {
		shared := path + "-shm"
		if strings.HasSuffix(path, "-wal") || strings.HasSuffix(path, "-journal") || !exists(shared) {
			continue
		}
		if chance.IntN(2) == 0 {
			return os.Remove(shared)
		}
		content := make([]byte, 32768)
		for i := range content {
			content[i] = byte(chance.UintN(256))
		}
		return change{path: shared, fresh: content}.redo(func(int) bool { return true })
	}
	return nil
}

// undo puts back what was there before.
func (c change) undo() error {
	if c.removed {
		return os.WriteFile(c.path, c.old, 0o600)
	}
	return c.edit(func(f *os.File) error {
		if _, err := f.WriteAt(c.old, c.offset); err != nil {
			return err
		}
		return f.Truncate(c.size)
	})
}

// redo makes the change again, as far as it survives.
func (c change) redo(survives func(i int) bool) error {
	switch {
	case c.removed && survives(0):
		if err := os.Remove(c.path); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	case c.removed, c.cut && !survives(0):
		return nil
	case c.cut:
		return c.edit(func(f *os.File) error { return f.Truncate(c.offset) })
	}
	return c.edit(func(f *os.File) error {
		// Sectors are those of the file, not of the write.
		for from, i := 0, 0; from < len(c.fresh); i++ {
			end := min(len(c.fresh), from+sector-int((c.offset+int64(from))%sector))
			if survives(i) {
				if _, err := f.WriteAt(c.fresh[from:end], c.offset+int64(from)); err != nil {
					return err
				}
			}
			from = end
		}
		return nil
	})
}

func (c change) edit(do func(*os.File) error) error {
	f, err := os.OpenFile(filepath.Clean(c.path), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // removed since, and that is sure
	}
	if err != nil {
		return err
	}
	return errors.Join(do(f), f.Close())
}
