package simtest

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// claimOf is what the twin claims for a transfer, of the second form. A sender speaks
// only of instances that still are the last to have saved some row under the claim's
// prefix, a receiver of those in the rows' histories.
func (t *twin) claimOf(s *transfer) (sub, super claims) {
	sub, super = claims{}, claims{}
	for prefix, counters := range t.claims {
		for instance, n := range counters {
			if !t.carried(prefix, instance, t.produces(s)) {
				continue
			}
			if under(prefix, s.filter) {
				put(sub, prefix, instance, n)
			}
			if slices.ContainsFunc(s.filter, func(f string) bool { return f != prefix && strings.HasPrefix(f, prefix) }) {
				put(super, prefix, instance, n)
			}
		}
	}
	all := maps.Clone(super)
	maps.Copy(all, sub)
	sub, super = reduced(sub, all), reduced(super, all)
	if t.produces(s) {
		return expand(sub, super, s.filter), claims{}
	}
	return sub, super
}

func (t *twin) carried(prefix, instance string, last bool) bool {
	for _, s := range t.store {
		if strings.HasPrefix(s.partition, prefix) && (s.instance == instance || !last && s.history[instance] > 0) {
			return true
		}
	}
	return false
}

// legacyClaimOf is the claim of the first form: what holds under every prefix.
func (t *twin) legacyClaimOf(s *transfer) map[string]int64 {
	all := map[string]int64{}
	for _, counters := range t.claims {
		for instance := range counters {
			least := covered(t.claims, s.filter[0], instance)
			for _, prefix := range s.filter {
				least = min(least, covered(t.claims, prefix, instance))
			}
			if least > 0 {
				all[instance] = least
			}
		}
	}
	return all
}

// reduced leaves out what a wider prefix of all claims as well.
func reduced(some, all claims) claims {
	left := claims{}
	for prefix, counters := range some {
		left[prefix] = map[string]int64{}
		for instance, n := range counters {
			wider := slices.ContainsFunc(slices.Collect(maps.Keys(all)), func(wide string) bool {
				return wide != prefix && strings.HasPrefix(prefix, wide) && all[wide][instance] >= n
			})
			if !wider {
				left[prefix][instance] = n
			}
		}
	}
	return left
}

// expand carries what is claimed of wider prefixes down to those of the filter.
func expand(sub, super claims, filter []string) claims {
	all := claims{}
	for prefix, counters := range sub {
		all[prefix] = maps.Clone(counters)
	}
	for _, prefix := range filter {
		if all[prefix] == nil {
			all[prefix] = map[string]int64{}
		}
	}
	for prefix, counters := range all {
		if slices.ContainsFunc(slices.Collect(maps.Keys(all)), func(wide string) bool {
			return wide != prefix && strings.HasPrefix(prefix, wide)
		}) {
			continue
		}
		for wide, claimed := range super {
			for instance, n := range claimed {
				if strings.HasPrefix(prefix, wide) {
					counters[instance] = max(counters[instance], n)
				}
			}
		}
	}
	return filled(all)
}

// filled leaves out prefixes without counters.
func filled(all claims) claims {
	some := claims{}
	for prefix, counters := range all {
		if len(counters) > 0 {
			some[prefix] = counters
		}
	}
	return some
}

// covered is the highest counter of an instance that is claimed for a partition.
func covered(all claims, partition, instance string) (n int64) {
	for prefix, counters := range all {
		if strings.HasPrefix(partition, prefix) {
			n = max(n, counters[instance])
		}
	}
	return n
}

// under says whether a partition begins with one of the prefixes.
func under(partition string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(partition, prefix) })
}

func united(a, b map[string]int64) map[string]int64 {
	all := map[string]int64{}
	for instance, n := range a {
		all[instance] = n
	}
	for instance, n := range b {
		all[instance] = max(all[instance], n)
	}
	return all
}

func ids(rows map[string]kept) []string { return slices.Sorted(maps.Keys(rows)) }

// parseClaim reads a claim as it travels; legacy is nil for the second form.
func parseClaim(text string) (sub, super claims, legacy map[string]int64) {
	var second struct{ Sub, Super claims }
	if json.Unmarshal([]byte(text), &second) == nil && (second.Sub != nil || second.Super != nil) {
		return second.Sub, second.Super, nil
	}
	legacy = map[string]int64{}
	_ = json.Unmarshal([]byte(text), &legacy) // what cannot be read claims nothing
	return nil, nil, legacy
}
