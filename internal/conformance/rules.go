package conformance

// rule is one way in which we mean to differ from the reference.
type rule struct {
	families []string
	reason   string // what the reference does; what we do
}

// rules are numbered from 1, as tests name them.
var rules = []rule{
	1:  {[]string{"queue", "fsic_db", "serialize"}, "wire text becomes SQL syntax (%, _, \\, quotes); for us all text is data and a prefix is exact on both databases"},
	2:  {[]string{"fsic_db", "dequeue", "serialize"}, "a lower counter overwrites a claim; a database max counter of ours never falls"},
	3:  {[]string{"fsic_db", "dequeue", "wire"}, "any partition is stored, and any claim about our own instance; we refuse partitions outside the filter and do not store impossible claims about ourselves"},
	4:  {[]string{"dequeue"}, "an older record is dropped from the buffers of all sessions; we drop it from this session's"},
	5:  {[]string{"dequeue"}, "a fast-forward can lower a record max counter; ours never falls"},
	6:  {[]string{"dequeue"}, "PostgreSQL keeps the store's hard_deleted in a conflict; we OR it on both databases"},
	7:  {[]string{"dequeue", "serialize", "deserialize"}, "a hard-deleting conflict leaves '' or conflicting data; we leave {} and none, read '' as {}, and no text of the store fails the profile"},
	8:  {[]string{"dequeue"}, "a buffered counter without its record fails the session; we drop and count it"},
	9:  {[]string{"dequeue", "wire"}, "the counter rises at every dequeue; ours only when a merge stamps a record"},
	10: {[]string{"serialize", "wire"}, "the counter rises before the transaction, and with nothing to stamp; ours with the rows it stamps"},
	11: {[]string{"serialize", "wire"}, "_self_ref_fk stays what it was at first; ours follows the row"},
	12: {[]string{"deserialize"}, "one bad record fails everything; ours gets an error of its own and the rest goes on"},
	13: {[]string{"deserialize"}, "children removed by a cascade stay undeleted in the store; ours become deleted and propagate"},
	14: {[]string{"deserialize"}, "a unique column that clashes deletes the other row on SQLite; we record an error and touch nothing else"},
	15: {[]string{"deserialize"}, "the row's id comes from the JSON; ours from the store row, and a differing id is an error"},
	16: {[]string{"wire"}, "a second transfer session in one direction gets the first; we resume the same id and replace the abandoned one"},
	17: {[]string{"wire"}, "one bad chunk ends the session; we refuse the chunk and go on"},
	18: {[]string{"wire"}, "records beyond the total are accepted and dropped; we refuse them, and count a repeated chunk once"},
	19: {[]string{"wire"}, "malformed requests get 500 and HTML; ours 4xx and a JSON message"},
	20: {[]string{"wire", "certificates"}, "a chain whose last certificate is known is not looked at; ours must agree with what is stored"},
	21: {[]string{"fsic_db", "dequeue", "wire"}, "counters that the sender holds under a wider prefix are forgotten; we keep them expanded to the filter"},
	22: {[]string{"queue", "wire"}, "rows that neither side covers are not sent; we send every row that the receiver does not cover"},
	23: {[]string{"deserialize"}, "a row edited in between is overwritten; we leave it and its store row stays dirty"},
	24: {[]string{"serialize"}, "a row deleted and made again becomes deleted; we drop a deletion whose row exists"},
	25: {[]string{"fsic_db", "queue", "wire"}, "a v1 producer advertises the maximum over its prefixes; we the minimum"},
	26: {[]string{"wire"}, "sub holds only what is filed at or below the filter; to such peers we send the expanded form"},
}

// ruleOf returns a rule by its number.
func ruleOf(number int) (rule, bool) {
	if number < 1 || number >= len(rules) {
		return rule{}, false
	}
	return rules[number], true
}
