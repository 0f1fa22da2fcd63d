// format.js - numbers and times for people.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export const count = (n) => (n === null || n === undefined ? "–" : whole.format(n));

/** About four significant digits: 0.00080, 1.279, 12,345. */
export function number(x, digits = 4) {
  if (x === null || x === undefined || !Number.isFinite(x)) return "–";
  if (x === 0) return "0";
  const size = Math.abs(x);
  if (size >= 1e6 || size < 1e-4) return x.toExponential(2);
  if (size >= 10 ** (digits - 1)) return whole.format(x);
  return new Intl.NumberFormat("en", { maximumSignificantDigits: digits }).format(x);
}

export const percent = (part, digits = 1) =>
  part === null || part === undefined ? "–" : `${(100 * part).toFixed(digits)} %`;

export function bytes(n) {
  if (n === null || n === undefined) return "–";
  const units = ["B", "KB", "MB", "GB", "TB"];
  let i = 0;
  while (n >= 1000 && i < units.length - 1) {
    n /= 1000;
    i += 1;
  }
  return `${i === 0 || n >= 100 ? Math.round(n) : n.toFixed(1)} ${units[i]}`;
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "–";
  const s = Math.round(seconds);
  if (seconds < 1) return "under 1 s";
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

const dateTime = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const timeOnly = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

export const time = (seconds) => (seconds ? dateTime.format(seconds * 1000) : "–");
export const clock = (seconds) => timeOnly.format(seconds * 1000);

export function ago(seconds) {
  const past = Date.now() / 1000 - seconds;
  if (past < 60) return "just now";
  return `${duration(past < 3600 ? 60 * Math.floor(past / 60) : past).replace(/ 0 s$/, "")} ago`;
}

/** ftjob-47zNELDULljWQTEvcsuo58Dj as ftjob-47zN…58Dj: enough to tell it from others. */
export const shortId = (id) => (id.length > 20 ? `${id.slice(0, id.indexOf("-") + 5)}…${id.slice(-4)}` : id);

/** "valid_loss" as "valid loss". */
export const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);
export const words = (name) => name.replaceAll("_", " ");

/** The first `n` characters, none of them halved. */
export const cut = (text, n) => text.slice(0, n).replace(/[\uD800-\uDBFF]$/, "");
