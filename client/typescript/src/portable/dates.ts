/** Points in time: RFC 3339 text on one side, a `Date`, which knows milliseconds only, on the other. */

const TEXT = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?(?:Z|([+-])(\d\d):(\d\d)(?::(\d\d))?)$/;

// What a Date was read from, and the time that it had then: it is written again so, unless somebody changed it.
const texts = new WeakMap<Date, { text: string; time: number }>();

/** The Date that a text says; undefined when a Date can't say it, or it is no such text. */
export function readDate(text: string): Date | undefined {
  const parts = TEXT.exec(text);
  if (parts === null) return undefined;
  const number = (index: number) => Number(parts[index] ?? "0");
  const [year, month, day, hour, minute, second] = [1, 2, 3, 4, 5, 6].map(number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const [offsetHours, offsetMinutes, offsetSeconds] = [9, 10, 11].map(number) as [number, number, number];
  if (year < 1 || hour > 23 || minute > 59 || second > 59) return undefined;
  if (offsetHours > 23 || offsetMinutes > 59 || offsetSeconds > 59) return undefined;
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return undefined; // no day of the calendar
  date.setUTCHours(hour, minute, second, Number((parts[7] ?? "").padEnd(3, "0").slice(0, 3)));
  const offset = (offsetHours * 3600 + offsetMinutes * 60 + offsetSeconds) * 1000;
  date.setTime(date.getTime() - (parts[8] === "-" ? -offset : offset));
  texts.set(date, { text, time: date.getTime() });
  return date;
}

/** The text of a Date. Throws TypeError for one that has none. */
export function writeDate(date: Date): string {
  const known = texts.get(date);
  const time = date.getTime();
  if (known !== undefined && known.time === time) return known.text;
  const year = date.getUTCFullYear();
  if (Number.isNaN(time) || year < 1 || year > 9999) {
    throw new TypeError(
      `a Date of ${Number.isNaN(time) ? "no time" : `the year ${year}`} can't be stored; years are 1 to 9999`,
    );
  }
  return date.toISOString();
}
