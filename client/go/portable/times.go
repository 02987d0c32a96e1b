package portable

import (
	"regexp"
	"strconv"
	"time"
)

var datetimeText = regexp.MustCompile(
	`\A([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,6}))?` +
		`(?:Z|([+-])([0-9]{2}):([0-9]{2})(?::([0-9]{2}))?)\z`)

// datetime reads a time with an offset of whole seconds; without one it is a local time of nowhere, which Go has no form for.
func datetime(text string) (any, bool) {
	parts := datetimeText.FindStringSubmatch(text)
	if parts == nil {
		return nil, false
	}
	number := func(place int) int {
		value, _ := strconv.Atoi(parts[place])
		return value
	}
	zone := time.UTC
	if parts[8] != "" {
		hours, minutes, seconds := number(9), number(10), number(11)
		if hours > 23 || minutes > 59 || seconds > 59 {
			return nil, false
		}
		offset := hours*3600 + minutes*60 + seconds
		if parts[8] == "-" {
			offset = -offset
		}
		if offset != 0 {
			zone = time.FixedZone("", offset)
		}
	}
	nanos, _ := strconv.Atoi((parts[7] + "000000000")[:9])
	made := time.Date(number(1), time.Month(number(2)), number(3), number(4), number(5), number(6), nanos, zone)
	// Go takes the 30th of February for the 2nd of March.
	isSame := made.Day() == number(3) && int(made.Month()) == number(2) && made.Hour() == number(4) &&
		made.Minute() == number(5) && made.Second() == number(6)
	return made, isSame && made.Year() >= 1
}

// textOf writes a time to the microsecond; false for a year that the encoding does not have.
func textOf(at time.Time) (string, bool) {
	layout := "2006-01-02T15:04:05.999999Z07:00"
	if _, offset := at.Zone(); offset%60 != 0 {
		layout += ":00"
	}
	return at.Format(layout), at.Year() >= 1 && at.Year() <= 9999
}
