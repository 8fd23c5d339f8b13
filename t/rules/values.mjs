// JSON, exact numbers and time, as docs/rules.md sections 2 to 4 have them.

import crypto from 'node:crypto';
import fs from 'node:fs';


// -- JSON --------------------------------------------------------------------

/** A JSON number with its text, for no digit may be lost. */
export class Num {
    constructor(text) { this.text = text; }
}

/** What ends one rule: a code of section 9 and the node's pointer. */
export class Stop extends Error {
    constructor(code, pointer) {
        super(code);
        this.code = code;
        this.pointer = pointer;
    }
}

/** Every fault of a document, [{pointer, code}]. */
export class Faults extends Error {
    constructor(faults) {
        super(faults.map((f) => `${f.pointer}: ${f.code}`).join('; '));
        this.faults = faults;
    }
}

const fault = (code, pointer = '') => new Faults([{ pointer, code }]);

const ESCAPES = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', '"': '"', '\\': '\\', '/': '/' };

/** Strict JSON: objects become Map, numbers Num. */
export function parseJson(text, depthMax = 1000) {
    const number = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?/y;
    const plain = /[^"\\\u0000-\u001f]*/y;
    const blank = /[ \t\n\r]*/y;
    let at = 0;

    const skip = () => {
        if (text.charCodeAt(at) > 32) { return; }
        blank.lastIndex = at;
        blank.exec(text);
        at = blank.lastIndex;
    };
    const malformed = () => fault('json.malformed');

    function string() {
        let out = '';
        at++;
        for (;;) {
            plain.lastIndex = at;
            out += plain.exec(text)[0];
            at = plain.lastIndex;
            if (text[at] === '"') { at++; break; }
            if (text[at] !== '\\') { throw malformed(); }
            const c = text[at + 1];
            if (c === 'u') {
                const hex = text.slice(at + 2, at + 6);
                if (!/^[0-9a-fA-F]{4}$/.test(hex)) { throw malformed(); }
                out += String.fromCharCode(parseInt(hex, 16));
                at += 6;
            } else {
                if (!(c in ESCAPES)) { throw malformed(); }
                out += ESCAPES[c];
                at += 2;
            }
        }
        if (out.includes('\0')) { throw fault('json.nul'); }
        if (/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(out)) {
            throw fault('json.lone_surrogate');
        }
        return out;
    }

    function value(depth) {
        if (depth > depthMax) { throw fault('json.too_deep'); }
        skip();
        const c = text[at];
        if (c === '"') { return string(); }
        if (c === '{' || c === '[') {
            const map = c === '{' ? new Map() : null;
            const list = [];
            const close = map ? '}' : ']';
            at++;
            skip();
            if (text[at] === close) { at++; return map ?? list; }
            for (;;) {
                let key = null;
                if (map) {
                    skip();
                    if (text[at] !== '"') { throw malformed(); }
                    key = string();
                    if (map.has(key)) { throw fault('json.duplicate_key'); }
                    skip();
                    if (text[at++] !== ':') { throw malformed(); }
                }
                const v = value(depth + 1);
                if (map) { map.set(key, v); } else { list.push(v); }
                skip();
                const sep = text[at++];
                if (sep === close) { return map ?? list; }
                if (sep !== ',') { throw malformed(); }
            }
        }
        for (const [word, v] of [['true', true], ['false', false], ['null', null]]) {
            if (text.startsWith(word, at)) { at += word.length; return v; }
        }
        number.lastIndex = at;
        const m = number.exec(text);
        if (!m) { throw malformed(); }
        at = number.lastIndex;
        return new Num(m[0]);
    }

    skip();
    if (at === text.length) { throw fault('json.empty'); }
    const v = value(1);
    skip();
    if (at !== text.length) { throw malformed(); }
    return v;
}

/** RFC 8785, but a Num keeps its digits. */
export function canonical(v) {
    if (v instanceof Num) { return v.text; }
    if (Array.isArray(v)) { return `[${v.map(canonical).join(',')}]`; }
    if (typeof v === 'bigint') { return v.toString(); }
    if (v === null || typeof v !== 'object') { return JSON.stringify(v); }
    const map = v instanceof Map;
    let out = '';
    for (const k of (map ? [...v.keys()] : Object.keys(v)).sort()) {
        const x = map ? v.get(k) : v[k];
        if (x !== undefined) { out += `${out ? ',' : ''}${JSON.stringify(k)}:${canonical(x)}`; }
    }
    return `{${out}}`;
}

export const sha256 = (text) => crypto.createHash('sha256').update(text).digest('hex');
export const escapePointer = (name) => name.replace(/~/g, '~0').replace(/\//g, '~1');


// -- numbers -----------------------------------------------------------------
// {m, s}: m ÷ 10^s in minimal form; money has a currency c besides, null while
// it takes that of what it stands beside

export const M_MAX = 10n ** 38n - 1n;
export const I64_MAX = 2n ** 63n - 1n;
const TEN = Array.from({ length: 80 }, (_, i) => 10n ** BigInt(i));
export const pow10 = (n) => TEN[n] ?? 10n ** BigInt(n);
export const absM = (m) => (m < 0n ? -m : m);

export function minimal(m, s) {
    while (s > 0 && m % 10n === 0n) { m /= 10n; s--; }
    return { m, s };
}

export const ZERO = { m: 0n, s: 0 };
export const int = (n) => ({ m: BigInt(n), s: 0 });

/** Text of a number, or null; an exponent only where JSON had it. */
export function readNumber(text, exponent = false) {
    const r = /^(-?)(0|[1-9][0-9]*)(?:\.([0-9]+))?(?:[eE]([-+]?[0-9]+))?$/.exec(text);
    if (!r || (r[4] !== undefined && !exponent)) { return null; }
    const digits = (r[2] + (r[3] ?? '')).replace(/^0+/, '');
    if (digits === '') { return ZERO; }
    const kept = digits.replace(/0+$/, '');
    let s = BigInt((r[3] ?? '').length - (digits.length - kept.length)) - BigInt(r[4] ?? 0);
    if (kept.length > 38 || s > 18n || s < -38n) { return null; }
    let m = BigInt(kept);
    if (s < 0n) { m *= pow10(Number(-s)); s = 0n; }
    if (m > M_MAX) { return null; }
    return { m: r[1] ? -m : m, s: Number(s) };
}

export function textOf({ m, s }) {
    const digits = absM(m).toString().padStart(s + 1, '0');
    const whole = digits.slice(0, digits.length - s);
    return (m < 0n ? '-' : '') + whole + (s ? `.${digits.slice(-s)}` : '');
}

function fit(m) {
    if (absM(m) > M_MAX) { throw new Stop('number.overflow'); }
    return m;
}

export function add(a, b, sign = 1n) {
    const s = Math.max(a.s, b.s);
    const m = fit(a.m * pow10(s - a.s)) + sign * fit(b.m * pow10(s - b.s));
    return minimal(fit(m), s);
}

export function multiply(a, b) {
    const r = minimal(fit(a.m * b.m), a.s + b.s);
    if (r.s > 18) { throw new Stop('number.overflow'); }
    return r;
}

/** n ÷ d as a whole number, rounded. */
export function divideWhole(n, d, rounding) {
    if (d < 0n) { n = -n; d = -d; }
    let q = n / d;
    let r = n % d;
    if (r === 0n) { return q; }
    const negative = n < 0n;
    if (negative) { r = -r; }
    const away = negative ? -1n : 1n;
    switch (rounding) {
    case 'floor': return negative ? q - 1n : q;
    case 'ceil': return negative ? q : q + 1n;
    case 'half_up': return 2n * r >= d ? q + away : q;
    default: return 2n * r > d || (2n * r === d && q % 2n !== 0n) ? q + away : q;
    }
}

export function divide(a, b, scale, rounding) {
    if (b.m === 0n) { throw new Stop('number.division_by_zero'); }
    const s = Math.max(a.s, b.s);
    const n = a.m * pow10(s - a.s) * pow10(scale);
    const d = b.m * pow10(s - b.s);
    return minimal(fit(divideWhole(n, d, rounding)), scale);
}

export function remainder(a, b) {
    if (a.s || b.s) { throw new Stop('number.not_whole'); }
    if (b.m === 0n) { throw new Stop('number.division_by_zero'); }
    return { m: a.m % b.m, s: 0 };
}

export function round(a, scale, rounding) {
    if (a.s <= scale) { return a; }
    return minimal(divideWhole(a.m, pow10(a.s - scale), rounding), scale);
}

export function compareNumbers(a, b) {
    const s = Math.max(a.s, b.s);
    const x = a.m * pow10(s - a.s);
    const y = b.m * pow10(s - b.s);
    return x < y ? -1 : x > y ? 1 : 0;
}

/** The currency that two amounts have in common. */
export function oneCurrency(a, b) {
    if (a.c && b.c && a.c !== b.c) { throw new Stop('currency.mismatch'); }
    return a.c ?? b.c;
}

export const withCurrency = (n, c) => (c === undefined ? n : { m: n.m, s: n.s, c });

// ISO 4217: minor units are hundredths but for these
export const MINOR = new Map([
    ...['BIF', 'CLP', 'DJF', 'GNF', 'ISK', 'JPY', 'KMF', 'KRW', 'PYG', 'RWF', 'UGX', 'UYI', 'VND',
        'VUV', 'XAF', 'XOF', 'XPF'].map((c) => [c, 0]),
    ...['BHD', 'IQD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND'].map((c) => [c, 3]),
    ...['CLF', 'UYW'].map((c) => [c, 4]),
]);


// a number as a document has it

export const isCurrency = (c) => typeof c === 'string' && /^[A-Z]{3}$/.test(c);

export function readInt(raw) {
    if (!(raw instanceof Num) || !/^-?(0|[1-9][0-9]*)$/.test(raw.text)) { return null; }
    const m = BigInt(raw.text);
    return m > I64_MAX || m < -I64_MAX - 1n ? null : { m, s: 0 };
}

export function readDecimal(raw) {
    if (raw instanceof Num) { return readNumber(raw.text, true); }
    return typeof raw === 'string' ? readNumber(raw) : null;
}


// -- time --------------------------------------------------------------------
// an instant is microseconds since 1970 (BigInt), a date days since 1970

const DAY_MIN = daysFromCivil(1, 1, 1);
const DAY_MAX = daysFromCivil(9999, 12, 31);
export const US = 1000000n;
export const INSTANT_MIN = BigInt(DAY_MIN) * 86400n * US;
export const INSTANT_MAX = BigInt(DAY_MAX + 1) * 86400n * US - 1n;

export const floorDiv = (a, b) => Math.floor(a / b);
export const floorDivBig = (a, b) => { const q = a / b; return a % b < 0n ? q - 1n : q; };

function daysFromCivil(y, m, d) {
    const yy = m <= 2 ? y - 1 : y;
    const era = Math.floor(yy / 400);
    const yoe = yy - era * 400;
    const doy = Math.floor((153 * (m + (m > 2 ? -3 : 9)) + 2) / 5) + d - 1;
    return era * 146097 + yoe * 365 + Math.floor(yoe / 4) - Math.floor(yoe / 100) + doy - 719468;
}

export function civil(days) {
    const z = days + 719468;
    const era = Math.floor(z / 146097);
    const doe = z - era * 146097;
    const yoe = floorDiv(doe - floorDiv(doe, 1460) + floorDiv(doe, 36524) - floorDiv(doe, 146096),
                         365);
    const doy = doe - (365 * yoe + floorDiv(yoe, 4) - floorDiv(yoe, 100));
    const mp = floorDiv(5 * doy + 2, 153);
    const m = mp < 10 ? mp + 3 : mp - 9;
    return { y: yoe + era * 400 + (m <= 2 ? 1 : 0), m, d: doy - floorDiv(153 * mp + 2, 5) + 1 };
}

export const isLeap = (y) => (y % 4 === 0 && y % 100 !== 0) || y % 400 === 0;
export const monthLength = (y, m) => (
    m === 2 ? (isLeap(y) ? 29 : 28) : [4, 6, 9, 11].includes(m) ? 30 : 31);

export function readDate(text) {
    const r = /^([0-9]{4})-([0-9]{2})-([0-9]{2})$/.exec(text);
    if (!r) { return null; }
    const [y, m, d] = r.slice(1).map(Number);
    if (y < 1 || m < 1 || m > 12 || d < 1 || d > monthLength(y, m)) { return null; }
    return daysFromCivil(y, m, d);
}

const INSTANT = new RegExp('^([0-9]{4}-[0-9]{2}-[0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})'
    + '(?:\\.([0-9]{1,6}))?(?:Z|([-+])([0-9]{2}):([0-9]{2}))$');

export function readInstant(text) {
    const r = INSTANT.exec(text);
    if (!r) { return null; }
    const day = readDate(r[1]);
    const [h, mi, s, oh, om] = [r[2], r[3], r[4], r[7] ?? 0, r[8] ?? 0].map(Number);
    if (day === null || h > 23 || mi > 59 || s > 59 || oh > 23 || om > 59) { return null; }
    const seconds = day * 86400 + h * 3600 + mi * 60 + s
        - (oh * 3600 + om * 60) * (r[6] === '-' ? -1 : 1);
    const us = BigInt(seconds) * US + BigInt((r[5] ?? '').padEnd(6, '0'));
    return us < INSTANT_MIN || us > INSTANT_MAX ? null : us;
}

export const two = (n) => String(n).padStart(2, '0');

export function dateText(days) {
    const { y, m, d } = civil(days);
    return `${String(y).padStart(4, '0')}-${two(m)}-${two(d)}`;
}

export function instantText(us) {
    const seconds = Number(floorDivBig(us, US));
    const day = floorDiv(seconds, 86400);
    const t = seconds - day * 86400;
    const fraction = (us - BigInt(seconds) * US).toString().padStart(6, '0');
    const clock = [floorDiv(t, 3600), floorDiv(t, 60) % 60, t % 60].map(two).join(':');
    return `${dateText(day)}T${clock}.${fraction}Z`;
}

const DURATION = new RegExp('^P(?:([0-9]+)Y)?(?:([0-9]+)M)?(?:([0-9]+)W)?(?:([0-9]+)D)?'
    + '(T(?:([0-9]+)H)?(?:([0-9]+)M)?(?:([0-9]+)S)?)?$');

/** {months, days, seconds, timed, exact}, or null. */
export function readDuration(text) {
    const r = DURATION.exec(text);
    if (!r || text === 'P' || r[5] === 'T') { return null; }
    const [y, mo, w, d, , h, mi, s] = r.slice(1).map((x) => Number(x ?? 0));
    if ([y, mo, w, d, h, mi, s].some((n) => n > 100000)) { return null; }
    return { months: 12 * y + mo, days: 7 * w + d, seconds: 3600 * h + 60 * mi + s,
             timed: r[5] !== undefined, calendar: y + mo > 0 };
}

export function readWindow(text) {
    const d = readDuration(text);
    if (!d || /^P[^T]*[YM]/.test(text)) { return null; }
    const total = d.days * 86400 + d.seconds;
    return total > 0 && total <= 3660 * 86400 ? d : null;
}

/** Moves a day by months, then by days. */
export function moveDay(day, d, sign) {
    const c = civil(day);
    const months = c.y * 12 + c.m - 1 + sign * d.months;
    const y = floorDiv(months, 12);
    const m = months - y * 12 + 1;
    if (y < 1 || y > 9999) { throw new Stop('time.range'); }
    const r = daysFromCivil(y, m, Math.min(c.d, monthLength(y, m))) + sign * d.days;
    if (r < DAY_MIN || r > DAY_MAX) { throw new Stop('time.range'); }
    return r;
}

/** RFC 8536: transitions, then the footer's rule. */
class Zone {
    constructor(name, bytes) {
        this.name = name;
        let at = 0;
        const header = () => {
            if (bytes.toString('latin1', at, at + 4) !== 'TZif') { throw new Error('not TZif'); }
            return [0, 1, 2, 3, 4, 5].map((i) => bytes.readUInt32BE(at + 20 + 4 * i));
        };
        let [isut, isstd, leap, times, types, chars] = header();
        at += 44 + times * 5 + types * 6 + chars + leap * 8 + isstd + isut;
        [isut, isstd, leap, times, types, chars] = header();
        at += 44;
        const infos = at + times * 9;
        this.at = [];
        this.offsets = [];
        const offsetOf = (i) => bytes.readInt32BE(infos + 6 * i);
        for (let i = 0; i < times; i++) {
            this.at.push(Number(bytes.readBigInt64BE(at + 8 * i)));
            this.offsets.push(offsetOf(bytes[at + 8 * times + i]));
        }
        this.first = types ? offsetOf(0) : 0;
        const footer = bytes.toString('latin1',
                                      infos + types * 6 + chars + leap * 12 + isstd + isut);
        this.rule = Zone.#footer(footer.split('\n')[1] ?? '');
    }

    static #footer(text) {
        if (text === '') { return null; }
        const name = '(?:<[^>]+>|[A-Za-z]{3,})';
        const hms = '([-+]?[0-9]{1,3}(?::[0-9]{2}(?::[0-9]{2})?)?)';
        const r =
            new RegExp(
                `^${name}${hms}(?:${name}${hms}?,([^,/]+)(?:/${hms})?,([^,/]+)(?:/${hms})?)?$`)
            .exec(text);
        if (!r) { throw new Error(`footer ${text}`); }
        const seconds = (t) => {
            const [h, m, s] = t.replace(/^[-+]/, '').split(':').map(Number);
            return (t[0] === '-' ? -1 : 1) * (h * 3600 + (m ?? 0) * 60 + (s ?? 0));
        };
        const std = -seconds(r[1]);
        if (!r[3]) { return { std }; }
        return { std, dst: r[2] ? -seconds(r[2]) : std + 3600,
                 start: [r[3], r[4] ? seconds(r[4]) : 7200],
                 end: [r[5], r[6] ? seconds(r[6]) : 7200] };
    }

    static #dayOf(spec, y) {
        if (spec[0] === 'M') {
            const [m, w, d] = spec.slice(1).split('.').map(Number);
            const firstDay = daysFromCivil(y, m, 1);
            const weekday = (((firstDay + 4) % 7) + 7) % 7;
            let day = 1 + ((d - weekday + 7) % 7) + 7 * (w - 1);
            if (day > monthLength(y, m)) { day -= 7; }
            return firstDay + day - 1;
        }
        const first = daysFromCivil(y, 1, 1);
        if (spec[0] !== 'J') { return first + Number(spec); }
        const n = Number(spec.slice(1));
        return first + n - 1 + (isLeap(y) && n > 59 ? 1 : 0);
    }

    #byRule(t) {
        const { std, dst, start, end } = this.rule;
        if (dst === undefined) { return std; }
        const y = civil(floorDiv(t + std, 86400)).y;
        const on = Zone.#dayOf(start[0], y) * 86400 + start[1] - std;
        const off = Zone.#dayOf(end[0], y) * 86400 + end[1] - dst;
        const summer = on < off ? t >= on && t < off : t >= on || t < off;
        return summer ? dst : std;
    }

    /** Seconds east of UTC at an instant in seconds. */
    offset(t) {
        const n = this.at.length;
        if (n === 0 || t < this.at[0]) {
            return n === 0 && this.rule ? this.#byRule(t) : this.first;
        }
        if (t >= this.at[n - 1]) { return this.rule ? this.#byRule(t) : this.offsets[n - 1]; }
        let lo = 0;
        let hi = n - 1;
        while (lo + 1 < hi) {
            const mid = (lo + hi) >> 1;
            if (this.at[mid] <= t) { lo = mid; } else { hi = mid; }
        }
        return this.offsets[lo];
    }

    /** The instant of a local time: the first of two, past a gap. */
    fromLocal(local) {
        const before = this.offset(local - 86400);
        const after = this.offset(local + 86400);
        const found = [before, after].map((o) => local - o)
            .filter((t) => t + this.offset(t) === local);
        return found.length ? Math.min(...found) : local - before;
    }
}

const zones = new Map();

export function zoneNamed(name) {
    if (name === undefined || name === null) { return null; }
    if (!zones.has(name)) {
        let zone = null;
        if (/^[A-Za-z0-9_+-]+(\/[A-Za-z0-9_+-]+)*$/.test(name)) {
            try {
                zone = new Zone(name, fs.readFileSync(`/usr/share/zoneinfo/${name}`));
            } catch { zone = null; }
        }
        zones.set(name, zone);
    }
    return zones.get(name);
}
