package simtest

import "fmt"

// add sums up.
func (c *counts) add(d counts) {
	c.histories += d.histories
	c.steps += d.steps
	c.syncs += d.syncs
	c.failedSyncs += d.failedSyncs
	c.requests += d.requests
	c.edits += d.edits
	c.versions += d.versions
	c.crashes += d.crashes
	c.replays += d.replays
	c.jumps += d.jumps
	c.sweeps += d.sweeps
	c.equals += d.equals
	c.restored += d.restored
	c.cloned += d.cloned
	c.full += d.full
	c.apart += d.apart
	c.circles += d.circles
	c.excused += d.excused
	c.verified += d.verified
	c.streams += d.streams
	c.chunks += d.chunks
	c.ahead += d.ahead
	c.meddled += d.meddled
	for i, n := range d.faults {
		c.faults[i] += n
	}
}

func (c counts) String() string {
	text := fmt.Sprintf("%d histories, %d steps, %d syncs done and %d failed, %d requests, %d streams of records, of which %d ran ahead, merged in %d chunks, %d transactions of applications and %d in the midst of a stage, %d versions saved, "+
		"%d crashes, %d late requests, %d clocks set, %d cleanups, %d claims of an equal version, %d databases set back, %d devices copied, %d full disks, %d databases verified, %d rows that a narrow scope holds apart, %d rows that have become their own ancestors, %d histories ended early for copies that nobody can tell apart",
		c.histories, c.steps, c.syncs, c.failedSyncs, c.requests, c.streams, c.ahead, c.chunks, c.edits, c.meddled, c.versions, c.crashes, c.replays, c.jumps, c.sweeps, c.equals, c.restored, c.cloned, c.full, c.verified, c.apart, c.circles, c.excused)
	for i, n := range c.faults {
		if i > 0 {
			text += fmt.Sprintf(", %d x %s", n, fault(i))
		}
	}
	return text
}
