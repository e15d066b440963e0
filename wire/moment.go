package wire

import "time"

// Most rows say when they were written, to the microsecond. A moment compresses badly as text:
// its digits are nearly random, and there are many of them. As the difference to the one before
// it takes a handful of bytes.

// momentForm is how package time has a form. All moments are UTC.
func momentForm(form byte) string {
	switch form {
	case markSpaced:
		return "2006-01-02 15:04:05.000000"
	case markMicros:
		return "2006-01-02T15:04:05.000000"
	default:
		return "2006-01-02T15:04:05.000"
	}
}

// The first and the last moment that has a text, 0001-01-01 00:00:00.000000 and 9999-12-31
// 23:59:59.999999, in microseconds since 1970.
const (
	firstMoment = -62_135_596_800_000_000
	lastMoment  = 253_402_300_799_999_999
	shortMoment = len("0001-01-01T00:00:00.000")
	longMoment  = len("0001-01-01 00:00:00.000000")
)

// parseMoment reads the moment with which a text begins, in microseconds since 1970. Its form
// is 0 where there is none, or one that appendMoment would write in another way.
func parseMoment(text []byte) (moment int64, form byte) {
	if len(text) < shortMoment || text[4] != '-' || text[7] != '-' || text[13] != ':' || text[16] != ':' || text[19] != '.' {
		return 0, 0
	}
	year, month, day := decimal(text[:4]), decimal(text[5:7]), decimal(text[8:10])
	hour, minute, second := decimal(text[11:13]), decimal(text[14:16]), decimal(text[17:19])
	if year < 1 || month < 1 || month > 12 || day < 1 || hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59 {
		return 0, 0
	}
	at := time.Date(int(year), time.Month(month), int(day), int(hour), int(minute), int(second), 0, time.UTC)
	if at.Day() != int(day) { // there is no such day
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
	return at.UnixMicro() + fraction, form
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

// appendMoment appends the text of a moment that has one. The time package would format it
// too, but takes longer for it than for the rest of a record.
func appendMoment(dst []byte, moment int64, form byte) []byte {
	at := time.UnixMicro(moment).UTC()
	year, month, day := at.Date()
	hour, minute, second := at.Clock()
	dst = appendDigits(dst, year, 4)
	dst = appendDigits(append(dst, '-'), int(month), 2)
	dst = appendDigits(append(dst, '-'), day, 2)
	if form == markSpaced {
		dst = append(dst, ' ')
	} else {
		dst = append(dst, 'T')
	}
	dst = appendDigits(dst, hour, 2)
	dst = appendDigits(append(dst, ':'), minute, 2)
	dst = appendDigits(append(dst, ':'), second, 2)
	if form == markMillis {
		return appendDigits(append(dst, '.'), at.Nanosecond()/1_000_000, 3)
	}
	return appendDigits(append(dst, '.'), at.Nanosecond()/1000, 6)
}

// appendDigits appends the last digits of a number.
func appendDigits(dst []byte, n, digits int) []byte {
	dst = append(dst, "000000"[:digits]...)
	for i := len(dst) - 1; n > 0 && digits > 0; i, digits = i-1, digits-1 {
		dst[i] += byte(n % 10)
		n /= 10
	}
	return dst
}
