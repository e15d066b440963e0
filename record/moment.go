package record

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/morango-go/morango/model"
)

// The forms of dates and times that the reference reads.
const (
	dateForm = `(\d{4})-(\d{1,2})-(\d{1,2})`
	timeForm = `(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:[.,](\d{1,6})\d{0,6})?)?`
	zoneForm = `(Z|[+-]\d{2}(?::?\d{2})?)?`

	usualMoment = "2006-01-02T15:04:05Z"
	zonedMoment = "2006-01-02 15:04:05" // with a zone's name behind it
)

var (
	onlyDate   = regexp.MustCompile(`\A` + dateForm + `\z`)
	onlyTime   = regexp.MustCompile(`\A` + timeForm + `\z`)
	fullMoment = regexp.MustCompile(`\A` + dateForm + `[T ]` + timeForm + zoneForm + `\z`)
)

// withoutZone cuts off the name of a zone, as in "2026-03-02 08:13:52(Europe/Berlin)".
func withoutZone(text string) string {
	at := strings.LastIndexByte(text, '(')
	if at >= 0 && strings.IndexByte(text[at:], ')') == len(text)-at-1 {
		if length := utf8.RuneCountInString(text[at+1:]) - 1; length >= 1 && length <= 64 {
			text = text[:at]
		}
	}
	return strings.TrimRight(text, " ")
}

// timeCell reads a column of moments, dates or times of day. A moment whose zone
// has a name stays the text that it is.
func timeCell(t model.Type, text string) (any, error) {
	if t != model.DateTimeTZ {
		return ParseTime(t, text)
	}
	if _, err := moment(withoutZone(text)); err != nil {
		return nil, err
	}
	return text, nil
}

// ParseTime reads the text of a moment (datetime), a date or a time of day in any
// form that the reference reads. A moment without a zone is UTC, a date alone its
// midnight, a time of day lies in the first day of year 1.
func ParseTime(t model.Type, text string) (time.Time, error) {
	switch t {
	case model.Date:
		if parts := onlyDate.FindStringSubmatch(text); parts != nil {
			return build(text, parts[1:], nil, "")
		}
	case model.Time:
		if parts := onlyTime.FindStringSubmatch(text); parts != nil {
			return build(text, []string{"1", "1", "1"}, parts[1:], "")
		}
	default:
		return moment(text)
	}
	return time.Time{}, fmt.Errorf("%s is not a %s", quoteShort(text), t)
}

// moment reads a moment in time.
func moment(text string) (time.Time, error) {
	if at, ok := plainMoment(text); ok {
		return at, nil
	}
	if at, err := time.Parse(usualMoment, text); err == nil && at.Year() > 0 {
		return at.Truncate(time.Microsecond), nil // what the reference writes, read ten times faster
	}
	// Where one space is asked for, the standard library takes several.
	if len(text) <= len(zonedMoment)+len(".123456") && !strings.Contains(text, "  ") {
		if at, err := time.Parse(zonedMoment, text); err == nil && at.Year() > 0 {
			return at.Truncate(time.Microsecond), nil
		}
	}
	if parts := fullMoment.FindStringSubmatch(text); parts != nil {
		return build(text, parts[1:4], parts[4:8], parts[8])
	}
	if parts := onlyDate.FindStringSubmatch(text); parts != nil {
		return build(text, parts[1:], nil, "")
	}
	return time.Time{}, fmt.Errorf("%s is not a date and time", quoteShort(text))
}

// plainMoment reads the form in which nearly all moments come, with all digits of date
// and time, with a fraction or without, in UTC. It leaves other forms, and what is wrong.
func plainMoment(text string) (at time.Time, ok bool) {
	const form = "dddd-dd-dd dd:dd:dd"
	if len(text) < len(form) {
		return at, false
	}
	for i := range len(form) {
		switch c := text[i]; form[i] {
		case 'd':
			if c < '0' || c > '9' {
				return at, false
			}
		case ' ':
			if c != ' ' && c != 'T' {
				return at, false
			}
		default:
			if c != form[i] {
				return at, false
			}
		}
	}
	two := func(at int) int { return int(text[at]-'0')*10 + int(text[at+1]-'0') }
	micros, rest := 0, strings.TrimSuffix(text[len(form):], "Z")
	if rest != "" {
		if rest[0] != '.' || len(rest) == 1 || len(rest) > len(".123456") {
			return at, false
		}
		for i := 1; i < len(".123456"); i++ {
			micros *= 10
			if i < len(rest) {
				if rest[i] < '0' || rest[i] > '9' {
					return at, false
				}
				micros += int(rest[i] - '0')
			}
		}
	}
	year, month, day := two(0)*100+two(2), two(5), two(8)
	hour, minute, second := two(11), two(14), two(17)
	// On days that each month has; of others the calendar is asked.
	if year < 1 || month < 1 || month > 12 || day < 1 || day > 28 || hour > 23 || minute > 59 || second > 59 {
		return at, false
	}
	return time.Date(year, time.Month(month), day, hour, minute, second, micros*1000, time.UTC), true
}

// build puts the parts of a moment together, in UTC. day holds year, month and
// day; clock hour, minute, second and fraction, or nothing.
func build(text string, day, clock []string, zone string) (time.Time, error) {
	number := func(parts []string, i int) int {
		if i >= len(parts) || parts[i] == "" {
			return 0
		}
		n, _ := strconv.Atoi(parts[i]) // the form allows digits only
		return n
	}
	micros := 0
	if len(clock) == 4 && clock[3] != "" {
		micros, _ = strconv.Atoi((clock[3] + "00000")[:6])
	}
	year, month, date := number(day, 0), number(day, 1), number(day, 2)
	hour, minute, second := number(clock, 0), number(clock, 1), number(clock, 2)
	at := time.Date(year, time.Month(month), date, hour, minute, second, micros*1000, time.UTC)
	if year < 1 || at.Month() != time.Month(month) || at.Day() != date ||
		at.Hour() != hour || at.Minute() != minute || at.Second() != second {
		return time.Time{}, fmt.Errorf("%s has the form of a date or time, but there is none such", quoteShort(text))
	}
	if at = at.Add(-offset(zone)); at.Year() < 1 || at.Year() > 9999 {
		return time.Time{}, fmt.Errorf("%s lies outside the years 1 to 9999", quoteShort(text))
	}
	return at, nil
}

// offset is how far a zone lies ahead of UTC.
func offset(zone string) time.Duration {
	if zone == "" || zone == "Z" {
		return 0
	}
	hours, _ := strconv.Atoi(zone[1:3])
	minutes := 0
	if len(zone) > 3 {
		minutes, _ = strconv.Atoi(zone[len(zone)-2:])
	}
	ahead := time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute
	if zone[0] == '-' {
		return -ahead
	}
	return ahead
}
