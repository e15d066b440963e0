package wire

import "encoding/binary"

// Most rows say when they were written, to the microsecond. A moment compresses badly as text:
// its digits are nearly random, and there are many of them. As the difference to the one before
// it takes a handful of bytes.

// The bytes that stand for moments in a text that is cut, one for each form.
const (
	markSpaced = markID + 1 + iota // 2026-03-06 04:29:25.571260, as Django writes it
	markMicros                     // 2026-03-06T04:29:25.571260, as Python does
	markMillis                     // 2026-03-06T04:29:25.571, as JavaScript does
)

const (
	second = 1_000_000 // in microseconds, as all that follows
	day    = 86_400 * second

	// The first and the last moment that has a text.
	firstMoment = -719_162 * day    // 0001-01-01 00:00:00.000000
	lastMoment  = 2_932_897*day - 1 // 9999-12-31 23:59:59.999999
	shortMoment = len("0001-01-01T00:00:00.000")
	longMoment  = len("0001-01-01 00:00:00.000000")
)

// momentLength is how long a moment's text is in this form.
func momentLength(form byte) int {
	if form == markMillis {
		return shortMoment
	}
	return longMoment
}

// parseMoment reads the moment with which a text begins, in microseconds since 1970. Its form
// is 0 where there is none, or one that appendMoment would write in another way.
func parseMoment(text []byte) (moment int64, form byte) {
	if len(text) < shortMoment || text[4] != '-' || text[7] != '-' || text[13] != ':' || text[16] != ':' || text[19] != '.' {
		return 0, 0
	}
	y, m, d := decimal(text[:4]), decimal(text[5:7]), decimal(text[8:10])
	if y < 1 || m < 1 || m > 12 || d < 1 || d > days(y, m+1, 1)-days(y, m, 1) {
		return 0, 0
	}
	hours, minutes, seconds := decimal(text[11:13]), decimal(text[14:16]), decimal(text[17:19])
	if hours < 0 || hours > 23 || minutes < 0 || minutes > 59 || seconds < 0 || seconds > 59 {
		return 0, 0
	}
	fraction := int64(-1)
	if len(text) >= longMoment {
		fraction = decimal(text[20:longMoment])
	}
	switch {
	case fraction >= 0 && text[10] == ' ':
		form = markSpaced
	case fraction >= 0 && text[10] == 'T':
		form = markMicros
	case text[10] == 'T':
		if fraction = 1000 * decimal(text[20:shortMoment]); fraction >= 0 {
			form = markMillis
		}
	}
	return days(y, m, d)*day + ((hours*60+minutes)*60+seconds)*second + fraction, form
}

// decimal is the number that digits are, or -1 where one is none.
func decimal(digits []byte) int64 {
	n := int64(0)
	for _, c := range digits {
		if c -= '0'; c > 9 {
			return -1
		}
		n = 10*n + int64(c)
	}
	return n
}

// days is the number of days from the beginning of 1970 to one of the years from 1 on; month 13
// is the next year's first. Years are counted from March here and in date, so that the day
// that not every year has is the last.
func days(year, month, day int64) int64 {
	if month < 3 {
		year, month = year-1, month+12
	}
	return 365*year + year/4 - year/100 + year/400 + (153*month-457)/5 + day - 719_469
}

// date is what days counts: year, month and day.
func date(days int64) (year, month, day int64) {
	days += 719_468 // from the first of March of the year 0 on
	of400 := days % 146_097
	inYears := (of400 - of400/1_460 + of400/36_524 - of400/146_096) / 365
	inDays := of400 - (365*inYears + inYears/4 - inYears/100)
	year, month = 400*(days/146_097)+inYears, (5*inDays+2)/153
	day = inDays - (153*month+2)/5 + 1
	if month += 3; month > 12 {
		year, month = year+1, month-12
	}
	return year, month, day
}

// appendMoment appends the text of a moment that has one.
func appendMoment(dst []byte, moment int64, form byte) []byte {
	number := (moment - firstMoment) / day // so that it is not negative
	inDay := (moment - firstMoment) % day
	y, m, d := date(number + firstMoment/day)
	between := byte('T')
	if form == markSpaced {
		between = ' '
	}
	dst = appendDigits(dst, y, 4)
	dst = appendDigits(append(dst, '-'), m, 2)
	dst = appendDigits(append(dst, '-'), d, 2)
	dst = appendDigits(append(dst, between), inDay/(3600*second), 2)
	dst = appendDigits(append(dst, ':'), inDay/(60*second)%60, 2)
	dst = appendDigits(append(dst, ':'), inDay/second%60, 2)
	dst = append(dst, '.')
	if form == markMillis {
		return appendDigits(dst, inDay%second/1000, 3)
	}
	return appendDigits(dst, inDay%second, 6)
}

// appendDigits appends the last digits of a number.
func appendDigits(dst []byte, n int64, digits int) []byte {
	dst = append(dst, "000000"[:digits]...)
	for i := len(dst) - 1; n > 0 && digits > 0; i, digits = i-1, digits-1 {
		dst[i] += byte(n % 10)
		n /= 10
	}
	return dst
}

// appendMoment puts a moment into the section.
func (e *recordEncoder) appendMoment(moment int64) {
	e.section = binary.AppendVarint(e.section, moment-e.moment)
	e.moment = moment
}

// nextMoment takes a moment for this form, the next of the section.
func (d *recordDecoder) nextMoment(form byte) int64 {
	if d.err != nil {
		return 0
	}
	since, size := binary.Varint(d.section)
	switch {
	case size <= 0:
		d.fail("a moment is cut off, or a frame has too few")
	case since < firstMoment-d.moment || since > lastMoment-d.moment:
		d.fail("a moment lies outside the years 1 to 9999")
	case form == markMillis && (d.moment+since)%1000 != 0:
		d.fail("a moment has more than milliseconds")
	default:
		d.section = d.section[size:]
		d.moment += since
	}
	return d.moment
}
