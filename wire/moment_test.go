package wire

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// layouts are the forms of moments, as the time package writes them.
var layouts = map[byte]string{
	markSpaced: "2006-01-02 15:04:05.000000", markMicros: "2006-01-02T15:04:05.000000", markMillis: "2006-01-02T15:04:05.000",
}

const day = 86_400_000_000 // in microseconds

// Each moment has the text that the time package gives it, and is read from it, whatever
// follows.
func TestMoments(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		moment := rapid.OneOf(rapid.Int64Range(firstMoment, lastMoment), rapid.Map(rapid.Int64Range(firstMoment/day, lastMoment/day),
			func(n int64) int64 { return n * day })).Draw(t, "moment")
		for form, layout := range layouts {
			if form == markMillis {
				moment -= (moment - firstMoment) % 1000
			}
			text := appendMoment([]byte("x"), moment, form)[1:]
			if want := time.UnixMicro(moment).UTC().Format(layout); string(text) != want || len(text) != len(momentForm(form)) {
				t.Fatalf("%d is %s instead of %s", moment, text, want)
			}
			after := rapid.SampledFrom([]string{"", `"`, "Z", "(UTC)", "12", "\xff"}).Draw(t, "after")
			if got, is := parseMoment(append(text, after...)); got != moment || is != form {
				t.Fatalf("%s%s is %d of the form %d instead of %d of %d", text, after, got, is, moment, form)
			}
		}
	})
}

// Each day of a calendar of 400 years, and those at both ends, is what the time package says.
func TestDays(t *testing.T) {
	if first, last := time.UnixMicro(firstMoment).UTC(), time.UnixMicro(lastMoment).UTC(); first.Year() != 1 || first.YearDay() != 1 ||
		last.Year() != 9999 || !last.Add(time.Microsecond).Equal(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("from %s to %s", first, last)
	}
	for _, from := range []int64{firstMoment / day, -200_000, lastMoment/day - 1000} {
		for n := from; n < from+150_000 && n <= lastMoment/day; n++ {
			at := time.Unix(n*86400, 0).UTC()
			text := at.Format(layouts[markSpaced])
			if moment, _ := parseMoment([]byte(text)); moment != n*day || string(appendMoment(nil, moment, markSpaced)) != text {
				t.Fatalf("day %d is %s, which is read as %d", n, text, moment)
			}
		}
	}
}

// What is read as a moment is written the same; what is nearly one is left as it is.
func TestAlmostMoments(t *testing.T) {
	for _, text := range []string{
		"2026-03-06 04:29:25.57126", "2026-03-06 04:29:25.571", "2026-03-06 04:29:25.", "2026-03-06T04:29:25.57Z", "2026-03-06T04:29:25Z",
		"2026-03-06t04:29:25.571260", "2026-03-06_04:29:25.571260", "2026-13-06 04:29:25.571260", "2026-00-06 04:29:25.571260",
		"2026-03-00 04:29:25.571260", "2026-03-32 04:29:25.571260", "2026-04-31 04:29:25.571260", "2026-02-29 04:29:25.571260",
		"2024-02-30 04:29:25.571260", "1900-02-29 04:29:25.571260", "0000-01-01 00:00:00.000000", "2026-03-06 24:00:00.000000",
		"2026-03-06 23:60:00.000000", "2026-03-06 23:59:60.000000", "2026-03-06 23:59:61.000000", "2026-03-06 0x:29:25.571260",
		"2026-03-06 04:-1:25.571260", "-026-03-06 04:29:25.571260", "2026-03-06 04:29:25,571260", "2026-03-06 04:29:25.57126x",
		"2026/03/06 04:29:25.571260", "2026-03-06 04.29.25.571260", "", "2026-03-06", "２０26-03-06 04:29:25.571260", "2026-03-06T04:29:25.57x260",
	} {
		if moment, form := parseMoment([]byte(text)); form != 0 {
			t.Errorf("%s is read as %d of the form %d", text, moment, form)
		}
	}
	for text, form := range map[string]byte{
		"2024-02-29 04:29:25.571260": markSpaced, "2000-02-29 04:29:25.571260": markSpaced, "0001-01-01 00:00:00.000000": markSpaced,
		"9999-12-31T23:59:59.999999": markMicros, "9999-12-31T23:59:59.999": markMillis, "2026-03-06T04:29:25.571Z2345": markMillis,
		"2026-03-06T04:29:25.57126": markMillis,
	} {
		if _, is := parseMoment([]byte(text)); is != form {
			t.Errorf("%s is read as one of the form %d instead of %d", text, is, form)
		}
	}
}

// The time package agrees on what is a moment.
func TestMomentsOrNot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[0-9]{3}[0-9-]-[013][0-9]-[0-3][0-9][ T][0-2][0-9]:[0-6][0-9]:[0-6][0-9]\.[0-9]{2,5}[0-9Z"][0-9Z"]`).Draw(t, "text")
		moment, form := parseMoment([]byte(text))
		_, err := time.Parse(layouts[markSpaced][:19], strings.Replace(text[:19], "T", " ", 1))
		short := strings.Trim(text[20:23], "0123456789") == "" && text[10] == 'T'
		long := len(text) >= longMoment && strings.Trim(text[20:26], "0123456789") == ""
		if is := err == nil && text[:4] > "0000" && (short || long); is != (form != 0) {
			t.Fatalf("%s is read as %d of the form %d: %v", text, moment, form, err)
		}
		if form != 0 && !strings.HasPrefix(text, string(appendMoment(nil, moment, form))) {
			t.Fatalf("%s is read as %s", text, appendMoment(nil, moment, form))
		}
	})
}
