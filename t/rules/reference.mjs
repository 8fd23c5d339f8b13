// A second implementation of the rules engine, written from docs/rules.md: it
// gives the same points and, byte by byte, the same traces.  It favours being
// read over being fast; every number is exact (BigInt).
//
//   compile(ruleText, catalogue)      a rule, or throws Faults
//   evaluate(rules, data)             results of several rules on one event
//   verify(rule, traceText)           does a trace recompute to itself
//   evalLine(text)                    what `loyalty rules eval` does with a line

import {
    Faults, I64_MAX, INSTANT_MAX, INSTANT_MIN, M_MAX, MINOR, Num, Stop, US, ZERO, absM, add,
        canonical, compareNumbers, dateText,
    divideWhole, escapePointer, floorDiv, floorDivBig, instantText, int, isCurrency, minimal,
    multiply, oneCurrency, parseJson, pow10, readDate, readDecimal, readInstant, readInt,
    readNumber, sha256, textOf, withCurrency, zoneNamed,
} from './values.mjs';
import {
    BAD, Catalogue, Checker, DEFAULTS, DEFAULT_CATALOGUE, LINE, ROUNDINGS, compareText, normal,
    typeOf,
} from './language.mjs';

const LINES_MAX = 2000;
const STEPS_MAX = 200000;
const TRACE_NODES = 256;
const DOCUMENT_DEPTH = 32;
const CAPS_MAX = 16;
const RULES_MAX = 1000;


// -- facts ---------------------------------------------------------------------
// a fact is {s: 'ok' | 'missing' | 'invalid', v}

const MISSING = { s: 'missing' };
const INVALID = { s: 'invalid' };
const ok = (v) => (v === null || v === undefined ? INVALID : { s: 'ok', v });

function readMoney(raw, currency, declared) {
    if (raw instanceof Map) {
        const amount = readInt(raw.get('amount'));
        const c = raw.get('currency');
        if (raw.size !== 2 || !amount || !isCurrency(c)
            || (declared && declared !== c)) { return null; }
        return { ...minimal(amount.m, MINOR.get(c) ?? 2), c };
    }
    const n = readDecimal(raw);
    return n && isCurrency(currency) ? { ...n, c: currency } : null;
}

function at(root, path) {
    for (const part of path.split('.')) {
        if (!(root instanceof Map)) { return undefined; }
        root = root.get(part);
    }
    return root;
}

/** Reads what stands in a document as a declaration's type. */
function convert(decl, raw, currency) {
    if (raw === undefined || raw === null) { return MISSING; }
    const text = typeof raw === 'string' ? raw : null;
    switch (decl.type) {
    case 'int': return ok(readInt(raw));
    case 'decimal': return ok(readDecimal(raw));
    case 'money': return ok(readMoney(raw, decl.currency ?? currency, decl.currency));
    case 'string': return ok(text);
    case 'bool': return typeof raw === 'boolean' ? { s: 'ok', v: raw } : INVALID;
    case 'instant': return ok(text && readInstant(text));
    case 'date': return ok(text && readDate(text));
    case 'enum': {
        const i = decl.values.indexOf(raw);
        return i < 0 ? INVALID : { s: 'ok', v: i };
    }
    default:
        if (!Array.isArray(raw) || raw.length > LINES_MAX) { return INVALID; }
        if (decl.type === 'list of string') {
            return raw.every((x) => typeof x === 'string') ? { s: 'ok', v: raw } : INVALID;
        }
        return raw.every((x) => x instanceof Map)
            ? { s: 'ok', v: raw.map((x) => new Struct(x, currency)) } : INVALID;
    }
}

/** An element of a list of structs; its fields are read when asked for. */
class Struct {
    #fields = new Map();

    constructor(raw, currency) {
        this.raw = raw;
        this.currency = currency;
    }

    field(decl) {
        let f = this.#fields.get(decl.name);
        if (!f) {
            f = decl.computed ? this.#total()
                : convert(decl, at(this.raw, decl.path), this.currency);
            if (f.s === 'missing' && LINE.includes(decl)) { f = this.#absent(decl, f); }
            this.#fields.set(decl.name, f);
        }
        return f;
    }

    #absent(decl, f) {
        if (decl.name === 'discount') {
            return isCurrency(this.currency) ? ok({ ...ZERO, c: this.currency }) : INVALID;
        }
        return decl.name === 'categories' ? ok([]) : f;
    }

    #total() {
        const [quantity, price, discount] = [LINE[2], LINE[3], LINE[4]].map((d) => this.field(d));
        if ([quantity, price, discount].some((f) => f.s !== 'ok')) { return INVALID; }
        const c = this.currency;
        if (!isCurrency(c) || price.v.c !== c || discount.v.c !== c) { return INVALID; }
        try {
            return ok({ ...add(multiply(quantity.v, price.v), discount.v, -1n), c });
        } catch (e) {
            if (e instanceof Stop) { return INVALID; }
            throw e;
        }
    }
}

/** What an event and a member's state say. */
export class Input {
    #facts = new Map();

    constructor({ event, state = null, counters = null, zone = null }) {
        this.event = event;
        this.state = state;
        this.counters = counters;
        this.zone = zone;
        const text = (v) => (typeof v === 'string' ? v : undefined);
        this.currency = text(at(event, 'order.currency')) ?? text(at(event, 'refund.currency'))
            ?? null;
        const occurred = text(event.get('occurred_at'));
        this.occurred = (occurred && readInstant(occurred)) ?? null;
        this.type = text(event.get('type'));
        this.source = text(event.get('source'));
    }

    fact(decl) {
        let f = this.#facts.get(decl.name);
        if (!f) {
            f = decl.computed && decl.name !== 'now' ? this.#computed(decl)
                : (decl.from === 'state' ? convert(decl, at(this.state, decl.path), null)
                    : convert(decl, at(this.event, decl.path), this.currency));
            this.#facts.set(decl.name, f);
        }
        return f;
    }

    #computed(decl) {
        const [document, what] = decl.name.split('.');
        const lines = this.fact(DEFAULTS.find((d) => d.name === `${document}.lines`));
        if (lines.s !== 'ok') { return lines; }
        if (what === 'line_count') { return ok(int(lines.v.length)); }
        const field = LINE.find((d) => d.name === what);
        let sum = what === 'total' ? { ...ZERO, c: this.currency } : ZERO;
        for (const line of lines.v) {
            const f = line.field(field);
            if (f.s !== 'ok') { return INVALID; }
            try {
                sum = withCurrency(add(sum, f.v),
                                   what === 'total' ? oneCurrency(sum, f.v) : undefined);
            } catch (e) {
                if (e instanceof Stop) { return INVALID; }
                throw e;
            }
        }
        return what === 'total' && !isCurrency(sum.c) ? INVALID : ok(sum);
    }

    counter(key) {
        const raw = this.counters instanceof Map ? this.counters.get(key) : undefined;
        if (raw === undefined || raw === null) { return MISSING; }
        return ok(readDecimal(raw));
    }
}


// -- evaluation ------------------------------------------------------------------

/** What one rule reads and leaves behind on one event. */
export class Run {
    nodes = [];
    more = 0;
    facts = new Map();          // name → [declaration, value]
    missing = new Set();
    missingCounters = new Set();
    invalid = new Set();
    counters = new Map();
    elements = [];              // innermost element last
    looked = 0;
    steps = 0;

    constructor(input, zone) {
        this.input = input;
        this.zone = zone;
    }

    work(size, unit) {
        this.steps += Math.floor(size / unit);
        this.step();
    }

    step() {
        if (++this.steps > STEPS_MAX) { throw new Stop('steps.exhausted'); }
    }

    #note(decl, f) {
        if (f.s === 'ok') { this.facts.set(decl.name, [decl, f.v]); }
        if (f.s === 'missing') { this.missing.add(decl.name); }
        if (f.s === 'invalid') { this.invalid.add(decl.name); }
    }

    read(decl) {
        const f = this.input.fact(decl);
        this.#note(decl, f);
        if (f.s === 'invalid') { throw new Stop('fact.invalid'); }
        return f.v;
    }

    field(decl) {
        const f = this.elements.at(-1).field(decl);
        if (f.s === 'invalid') { throw new Stop('fact.invalid'); }
        return f.v;
    }

    /** What is not of its type is there all the same. */
    present(ref) {
        if (!ref.decl) {
            return ref.field ? this.elements.at(-1).field(ref.field).s !== 'missing' : true;
        }
        const f = this.input.fact(ref.decl);
        this.#note(ref.decl, f);
        return f.s !== 'missing';
    }

    counter(key) {
        const f = this.input.counter(key);
        if (f.s === 'ok') { this.counters.set(key, f.v); }
        if (f.s === 'missing') { this.missingCounters.add(key); }
        if (f.s === 'invalid') { throw new Stop('fact.invalid'); }
        return f.v;
    }

    local(us) {
        if (!this.zone) { throw new Stop('time.zone'); }
        const seconds = floorDivBig(us, US);
        const local = Number(seconds) + this.zone.offset(Number(seconds));
        const t = BigInt(local) * US;
        if (t < INSTANT_MIN || t > INSTANT_MAX) { throw new Stop('time.range'); }
        const day = floorDiv(local, 86400);
        return { day, second: local - day * 86400, us: us - seconds * US };
    }

    /** Calls f for each element until it gives false. */
    each(elements, f) {
        for (const x of elements) {
            this.looked++;
            this.elements.push(x);
            const go = f(x);
            this.elements.pop();
            if (!go) { break; }
        }
    }

    record(n, v, marked, looked) {
        if (this.elements.length || n.k === 0) { return; }
        if (this.nodes.length === TRACE_NODES) { this.more++; return; }
        const entry = [n.ptr, traced(v, n.type)];
        if (marked) { entry.push('missing'); }
        if (looked !== undefined) { entry.push(looked); }
        this.nodes.push(entry);
    }
}

/** The value of a node; undefined is missing. */
export function run(e, n) {
    if (n.op === 'lit') { return n.v; }
    if (n.folded) { return n.folded.v; }
    if (n.op === 'list') { return n.items.map((x) => x.v); }
    const depth = e.elements.length;
    try {
        e.step();
        return valueOf(e, n);
    } catch (x) {
        if (x instanceof Stop && x.pointer === undefined && depth === 0) { x.pointer = n.ptr; }
        throw x;
    }
}

function valueOf(e, n) {
    const spec = n.spec;
    let v;
    let marked = false;
    let looked;
    if (n.op === 'var') {
        v = n.decl ? e.read(n.decl) : n.field ? e.field(n.field) : e.elements.at(-1);
        if (v === undefined && n.dflt) { v = n.dflt.v; }
        if (n.type.k === 'list' && v !== undefined) { e.work(0, 8); }
    } else if (spec.list) {
        const elements = run(e, n.args[0]);
        const outer = e.looked;
        e.looked = 0;
        v = elements && spec.walk(e, n, elements);
        looked = n.op === 'count' && !n.args[1] ? undefined : e.looked;
        e.looked = outer;
    } else if (spec.lazy || n.args.length === 0) {
        v = spec.run(e, n);
    } else {
        const values = n.args.map((a) => run(e, a));
        v = values.includes(undefined) ? undefined : spec.run(e, n, values);
    }
    if (v === undefined && spec?.pred) { v = false; marked = true; }
    e.record(n, v, marked, looked);
    return v;
}


// -- rules -----------------------------------------------------------------------

const WALLET = (t) => typeof t === 'string' && t !== '' && Array.from(t).length <= 64;

/** The document's members other than nodes: each reader gives a value or a fault. */
class Document {
    constructor(checker) { this.c = checker; }

    fault(code, sent) { this.c.fault(code, sent); return undefined; }

    object(x, sent, required, optional) {
        if (!(x instanceof Map)) { this.fault('value.type', sent); return null; }
        for (const name of required) { if (!x.has(name)) { this.fault('member.required', sent); } }
        for (const name of x.keys()) {
            if (!required.includes(name) && !optional.includes(name)) {
                this.fault('member.unknown', `${sent}/${escapePointer(name)}`);
            }
        }
        return x;
    }

    whole(x, sent, min = 0n, max = I64_MAX) {
        if (x === undefined) { return undefined; }
        const v = readInt(x);
        if (!v) { return this.fault('value.type', sent); }
        return v.m < min || v.m > max ? this.fault('value.range', sent) : v.m;
    }

    /** A number of an effect. */
    decimal(x, sent, test, places = 6) {
        if (x === undefined) { return undefined; }
        const v = readDecimal(x);
        if (!v) { return this.fault('value.type', sent); }
        return test(v) && v.s <= places ? v : this.fault('value.range', sent);
    }

    oneOf(x, sent, names) {
        if (x === undefined || names.includes(x)) { return x; }
        return this.fault(typeof x === 'string' ? 'value.unknown' : 'value.type', sent);
    }

    names(x, sent) {
        if (x === null || x === undefined) { return null; }
        if (!Array.isArray(x) || x.length < 1 || x.length > 100) {
            return this.fault('value.type', sent);
        }
        x.forEach((name, i) => {
            if (!WALLET(name)) { this.fault('value.type', `${sent}/${i}`); }
        });
        return x;
    }

    instant(x, sent) {
        if (x === null || x === undefined) { return null; }
        const v = typeof x === 'string' ? readInstant(x) : null;
        return v === null ? this.fault('value.type', sent) : v;
    }

    trigger(x) {
        const t = this.object(x, '/trigger', ['event'], ['sources']);
        if (!t) { return null; }
        const event = t.get('event');
        if (event !== undefined
            && (typeof event !== 'string' || !/^[a-z0-9_.]{1,64}$/.test(event))) {
            this.fault('value.type', '/trigger/event');
        }
        return { event, sources: this.names(t.get('sources'), '/trigger/sources') };
    }

    limits(x) {
        const none = { per_event: null, per_member: null, per_period: null };
        if (x === undefined || x === null) { return none; }
        const l = this.object(x, '/limits', [], Object.keys(none));
        if (!l) { return none; }
        const n = (name) => (l.get(name) ?? null) && this.whole(l.get(name), `/limits/${name}`);
        const period = l.get('per_period') ?? null;
        const out = { per_event: n('per_event'), per_member: n('per_member'), per_period: null };
        if (period && this.object(period, '/limits/per_period', ['points', 'period'], [])) {
            out.per_period = {
                points: this.whole(period.get('points'), '/limits/per_period/points'),
                period: this.oneOf(period.get('period'), '/limits/per_period/period',
                                   ['day', 'week', 'month', 'year']),
            };
        }
        return out;
    }

    stacking(x) {
        const s = x === undefined || x === null ? new Map()
            : this.object(x, '/stacking', [], ['group', 'mode']) ?? new Map();
        const group = s.get('group') ?? 'default';
        if (!WALLET(group)) { this.fault('value.type', '/stacking/group'); }
        return { group, mode: this.oneOf(s.get('mode') ?? 'all', '/stacking/mode',
                                         ['all', 'best', 'first', 'exclusive']) };
    }

    schedule(x) {
        if (x === undefined || x === null) { return null; }
        const s = this.object(x, '/schedule', [], ['starts_at', 'ends_at']);
        if (!s) { return null; }
        const starts_at = this.instant(s.get('starts_at'), '/schedule/starts_at');
        const ends_at = this.instant(s.get('ends_at'), '/schedule/ends_at');
        if (typeof starts_at === 'bigint' && typeof ends_at === 'bigint' && starts_at >= ends_at) {
            this.fault('value.range', '/schedule');
        }
        return { starts_at, ends_at };
    }

    effect(x, i, document) {
        const sent = `/effects/${i}`;
        const members = { fixed: [['points'], []], rate: [['points', 'per'], ['of', 'where']],
                          line_bonus: [['points'], ['where', 'per']], table: [['steps'], ['of']],
                          multiplier: [['factor'], []] };
        if (!(x instanceof Map)) { this.fault('value.type', sent); return null; }
        const type = x.get('type');
        if (type === undefined) { this.fault('member.required', sent); return null; }
        if (this.oneOf(type, `${sent}/type`, Object.keys(members)) === undefined) { return null; }
        this.object(x, sent, ['type', 'wallet', ...members[type][0]],
                    ['rounding', ...members[type][1]]);
        const wallet = x.get('wallet');
        if (wallet !== undefined && !WALLET(wallet)) { this.fault('value.type', `${sent}/wallet`); }
        const eff = { type, wallet,
                      rounding: this.oneOf(x.get('rounding') ?? 'floor', `${sent}/rounding`,
                                           ROUNDINGS) };
        const positive = (v) => v.m >= 0n;
        if (type === 'fixed') { eff.points = this.whole(x.get('points'), `${sent}/points`); }
        if (type === 'rate' || type === 'line_bonus') {
            eff.points = this.decimal(x.get('points'), `${sent}/points`, positive);
        }
        if (type === 'multiplier') {
            eff.factor = this.decimal(x.get('factor'), `${sent}/factor`,
                                      (v) => compareNumbers(v, int(1)) >= 0);
        }
        if (type === 'rate') { this.per(eff, x.get('per'), `${sent}/per`); }
        if (type === 'line_bonus') {
            eff.per = this.oneOf(x.get('per') ?? 'line', `${sent}/per`, ['line', 'unit']);
        }
        if (type === 'table') { this.steps(eff, x.get('steps'), `${sent}/steps`); }
        const named = (name) => (x.get(name) ?? null) !== null;
        if (type === 'rate' && named('of') && named('where')) {
            this.fault('member.unknown', `${sent}/where`);
        }
        if ((type === 'rate' && named('where')) || type === 'line_bonus') {
            const list = { op: 'var', decl: this.c.catalogue.facts.get(document.lines),
                           type: null };
            list.type = typeOf(list.decl);
            this.c.scopes.push({ of: list.type.of, fact: document.lines });
            eff.where = this.c.whole(x.get('where') ?? true, `${sent}/where`, `${sent}/where`,
                                     'bool');
            this.c.scopes.pop();
        } else if (type === 'rate' || type === 'table') {
            const of = x.get('of') ?? document.total;
            eff.of = this.c.whole(typeof of === 'string' ? new Map([['var', of]]) : of,
                                  `${sent}/of`, `${sent}/of`, 'amount');
            if (eff.per?.currency && eff.of !== BAD) {
                if (eff.of.type.k !== 'money') { this.fault('type.mismatch', `${sent}/of`); }
                if (eff.of.type.c && eff.of.type.c !== eff.per.currency) {
                    this.fault('currency.mismatch', `${sent}/of`);
                }
            }
        }
        return eff;
    }

    per(eff, x, sent) {
        if (x === undefined) { return; }
        const p = this.object(x, sent, ['amount'], ['currency']);
        if (!p) { return; }
        const amount = readDecimal(p.get('amount'));
        if (!amount && p.has('amount')) { this.fault('value.type', `${sent}/amount`); }
        if (amount && amount.m < 0n) { this.fault('value.range', `${sent}/amount`); }
        if (amount && amount.m === 0n) { this.fault('value.range', sent); }
        const currency = p.get('currency') ?? null;
        if (currency !== null && !isCurrency(currency)) {
            this.fault('value.type', `${sent}/currency`);
        }
        eff.per = { amount, currency: isCurrency(currency) ? currency : null };
    }

    steps(eff, x, sent) {
        if (x === undefined) { return; }
        if (!Array.isArray(x) || x.length < 1 || x.length > 100) {
            this.fault('value.type', sent);
            return;
        }
        let last = null;
        eff.steps = x.map((step, i) => {
            if (!this.object(step, `${sent}/${i}`, ['from', 'points'], [])) { return null; }
            const from = this.decimal(step.get('from'), `${sent}/${i}/from`, (v) => v.m >= 0n, 18);
            const points = this.whole(step.get('points'), `${sent}/${i}/points`);
            if (from && last && compareNumbers(from, last) <= 0) {
                this.fault('value.range', `${sent}/${i}`);
            }
            last = from ?? last;
            return { from, points };
        });
    }
}

const MEMBERS = ['condition', 'limits', 'priority', 'stacking', 'schedule', 'segments', 'base'];

/** A rule from its parsed document; throws Faults. */
export function compileValue(doc, catalogue = DEFAULT_CATALOGUE) {
    const c = new Checker(catalogue);
    const d = new Document(c);
    if (!d.object(doc, '', ['trigger', 'effects'], MEMBERS)) { throw new Faults(c.faults); }
    const rule = { catalogue };
    if (doc.has('trigger')) { rule.trigger = d.trigger(doc.get('trigger')); }
    const priority = doc.get('priority') ?? new Num('0');
    rule.priority = d.whole(priority, '/priority', -1000000n, 1000000n);
    rule.stacking = d.stacking(doc.get('stacking'));
    rule.schedule = d.schedule(doc.get('schedule'));
    rule.segments = d.names(doc.get('segments'), '/segments');
    rule.limits = d.limits(doc.get('limits'));
    rule.base = doc.get('base') ?? false;
    if (typeof rule.base !== 'boolean') { d.fault('value.type', '/base'); }
    rule.condition = c.whole(doc.has('condition') ? doc.get('condition') : true, '/condition',
                             '/condition', 'bool');

    const refund = String(rule.trigger?.event ?? '').startsWith('order.refund');
    rule.document = refund ? 'refund' : 'order';
    rule.lines = `${rule.document}.lines`;
    const effects = doc.get('effects');
    if (effects !== undefined
        && (!Array.isArray(effects) || effects.length < 1 || effects.length > 16)) {
        d.fault('value.type', '/effects');
    } else if (effects) {
        const facts = { lines: rule.lines, total: `${rule.document}.total` };
        rule.effects = effects.map((x, i) => d.effect(x, i, facts));
        if (rule.base === true && !rule.effects.some((e) => e?.type === 'rate' && !e.where)) {
            d.fault('base.rate', '/effects');
        }
    }
    if (c.faults.length) { throw new Faults(c.faults); }

    const needs = new Set(c.fields.get(rule.lines));
    for (const e of rule.effects) { needs.add(e.type === 'line_bonus' ? 'quantity' : 'total'); }
    c.fields.set(rule.lines, needs);
    rule.fields = c.fields;
    rule.zoned = c.zoned;
    rule.normal = normalRule(rule);
    rule.digest = sha256(canonical(rule.normal));
    return rule;
}

export const compile = (text, catalogue) => compileValue(parseJson(text), catalogue);

function normalRule(rule) {
    const instant = (t) => (t === null ? null : instantText(t));
    const { limits } = rule;
    return {
        trigger: rule.trigger,
        condition: normal(rule.condition),
        effects: rule.effects.map((e) => ({
            type: e.type, wallet: e.wallet, rounding: e.rounding,
            points: e.type === 'fixed' ? e.points : e.points && textOf(e.points),
            factor: e.factor && textOf(e.factor),
            per: e.type === 'rate' ? { amount: textOf(e.per.amount), currency: e.per.currency }
                : e.per,
            of: e.of && normal(e.of),
            where: e.where && normal(e.where),
            steps: e.steps?.map((s) => ({ from: textOf(s.from), points: s.points })),
        })),
        limits,
        priority: rule.priority,
        stacking: rule.stacking,
        schedule: rule.schedule
            && { starts_at: instant(rule.schedule.starts_at),
                 ends_at: instant(rule.schedule.ends_at) },
        segments: rule.segments,
        base: rule.base,
    };
}


// -- effects ---------------------------------------------------------------------

/** Exact points as n ÷ d: what stands in the trace and the whole number given. */
function exact(n, d, rounding) {
    if (n < 0n) { n = 0n; }
    const rounded = divideWhole(n, d, rounding);
    if (rounded > I64_MAX) { throw new Stop('number.overflow'); }
    return { raw: minimal(n * 1000000n / d, 6), rounded };
}

/** Is a condition over a line true. */
function chosen(e, where, line) {
    e.elements.push(line);
    const hit = run(e, where) === true;
    e.elements.pop();
    return hit;
}

/** Weights at the scale of the finest; their sum is a number of the language. */
function weighed(weights) {
    const s = Math.max(0, ...weights.map((w) => w.s));
    const whole = weights.map((w) => w.m * pow10(s - w.s));
    if (whole.reduce((a, b) => a + b, 0n) > M_MAX) { throw new Stop('number.overflow'); }
    return whole;
}

function lineField(line, name) {
    const f = line.field(LINE.find((d) => d.name === name));
    if (f.s !== 'ok') { throw new Stop('fact.invalid'); }
    return f.v;
}

/** What an effect gives before caps: {of, raw, rounded, weights}. */
function planned(e, rule, eff) {
    const lineDecl = rule.catalogue.facts.get(rule.lines);
    const lines = () => e.read(lineDecl);
    const positive = (t) => (t.m > 0n ? t : ZERO);
    const totals = (list) => list && weighed(list.map((l) => lineField(l, 'total')).map(positive));
    const none = { raw: ZERO, rounded: 0n };

    if (eff.type === 'fixed') {
        const weights = eff.points > 0n ? totals(lines()) : undefined;
        return { ...exact(eff.points, 1n, 'floor'), weights };
    }
    if (eff.type === 'multiplier') { return { weights: totals(lines()) }; }
    if (eff.type === 'line_bonus') { return lineBonus(e, eff, lines()); }

    let of;
    let weights;
    if (eff.where) {
        const list = lines();
        const found = [];
        for (const line of list ?? []) {
            const t = chosen(e, eff.where, line) ? lineField(line, 'total') : null;
            if (t) { of = of ? withCurrency(add(of, t), oneCurrency(of, t)) : t; }
            found.push(t ? positive(t) : ZERO);
        }
        if (list) {
            of ??= { ...ZERO, c: eff.per.currency };
            weights = weighed(found);
        }
    } else {
        weights = totals(lines());
        of = run(e, eff.of);
    }
    if (of === undefined) { return { of: null, ...none, weights }; }
    if (eff.type === 'table') {
        const step = eff.steps.filter((s) => compareNumbers(s.from, of) <= 0).at(-1);
        return { of, ...exact(step?.points ?? 0n, 1n, 'floor'), weights };
    }
    if (eff.per.currency) { oneCurrency(of, { c: eff.per.currency }); }
    const per = eff.per.amount;
    if (of.m > 0n) { multiply(eff.points, { m: of.m, s: of.s }); }
    return { of, ...exact(eff.points.m * of.m * pow10(per.s), per.m * pow10(eff.points.s + of.s),
        eff.rounding), weights };
}

function lineBonus(e, eff, lines) {
    if (!lines) { return { of: null, raw: ZERO, rounded: 0n }; }
    const points = lines.map((line) => {
        const given = chosen(e, eff.where, line)
            && line.field(LINE.find((d) => d.name === 'quantity')).s !== 'missing';
        const quantity = given ? lineField(line, 'quantity') : ZERO;
        if (quantity.m <= 0n) { return ZERO; }
        const p = eff.per === 'unit' ? multiply(eff.points, quantity) : eff.points;
        return int(exact(p.m, pow10(p.s), eff.rounding).rounded);
    });
    const rounded = points.reduce((a, p) => a + p.m, 0n);
    if (rounded > I64_MAX) { throw new Stop('number.overflow'); }
    return { of: int(rounded), raw: int(rounded), rounded, weights: weighed(points) };
}

/** Splits points by largest remainder; the earlier line first among equals. */
function split(points, weights) {
    if (!weights) { return []; }
    const sum = weights.reduce((a, b) => a + b, 0n);
    if (sum === 0n) { return []; }
    const shares = weights.map((x) => points * x / sum);
    const order = weights.map((x, i) => [points * x % sum, i])
        .sort((a, b) => (a[0] > b[0] ? -1 : a[0] < b[0] ? 1 : a[1] - b[1]));
    let left = points - shares.reduce((a, b) => a + b, 0n);
    for (const [, i] of order) {
        if (left-- <= 0n) { break; }
        shares[i]++;
    }
    return shares;
}


// -- several rules ---------------------------------------------------------------

/** One rule on its way through an event. */
class Case {
    points = 0n;
    outcome = 'not_matched';
    reason = null;
    error = null;
    candidate = false;
    kept = false;

    constructor(rule, input, supplied) {
        this.rule = rule;
        this.input = input;
        this.supplied = supplied;
        this.run = new Run(input, input.zone);
    }

    fail(x) {
        if (!(x instanceof Stop)) { throw x; }
        this.outcome = 'error';
        this.error = { code: x.code, pointer: x.pointer ?? '' };
        this.effects = null;
        this.points = 0n;
    }

    /** As far as a rule goes by itself. */
    prepare() {
        const { rule, input, run: e } = this;
        try {
            this.reason = this.#unfit(e, rule, input);
            if (this.reason) { return; }
            this.candidate = true;
            this.before = 0n;
            this.effects = rule.effects.map((eff, i) => {
                try {
                    const p = { eff, ...planned(e, rule, eff) };
                    this.before += p.rounded ?? 0n;
                    if (this.before > I64_MAX) { throw new Stop('number.overflow'); }
                    return p;
                } catch (x) {
                    if (x instanceof Stop) { x.pointer ??= `/effects/${i}`; }
                    throw x;
                }
            });
            this.caps = this.#caps();
        } catch (x) {
            this.candidate = false;
            this.fail(x);
        }
    }

    #unfit(e, rule, input) {
        if (input.type !== rule.trigger.event) { return 'trigger'; }
        if (rule.trigger.sources && !rule.trigger.sources.includes(input.source)) {
            return 'trigger';
        }
        const s = rule.schedule;
        if (s && (s.starts_at !== null || s.ends_at !== null)
            && (input.occurred === null || (s.starts_at !== null && input.occurred < s.starts_at)
                || (s.ends_at !== null && input.occurred >= s.ends_at)))
        {
            return 'schedule';
        }
        if (rule.segments) {
            try {
                const have = e.read(rule.catalogue.facts.get('member.segments'));
                if (!have?.some((x) => rule.segments.includes(x))) { return 'segments'; }
            } catch (x) {
                if (x instanceof Stop) { x.pointer ??= '/segments'; }
                throw x;
            }
        }
        return run(e, rule.condition) === true ? null : 'condition';
    }

    #caps() {
        const { limits } = this.rule;
        const caps = [];
        if (limits.per_event !== null) {
            caps.push({ name: 'per_event', remaining: limits.per_event });
        }
        for (const name of ['per_member', 'per_period']) {
            if (limits[name] === null) { continue; }
            const cap = this.supplied.find((c) => c.name === name);
            if (!cap) { throw new Stop('cap.missing', '/limits'); }
            caps.push(cap);
        }
        caps.push(...this.supplied.filter((c) =>
            !['per_event', 'per_member', 'per_period'].includes(c.name)));
        return caps;
    }

    /** Takes an effect's points out of the caps. */
    #cut(p) {
        p.points = p.rounded;
        p.clipped = null;
        for (const cap of this.caps) {
            const left = cap.remaining < 0n ? 0n : cap.remaining;
            if (left < p.points) { p.points = left; p.clipped = cap.name; }
        }
        for (const cap of this.caps) { cap.remaining -= p.points; }
        if (p.clipped !== null) { this.outcome = 'capped'; }
        p.shares = split(p.points, p.weights);
        if (this.points + p.points > I64_MAX) { throw new Stop('number.overflow'); }
        this.points += p.points;
    }

    #note() { this.capsBefore = this.caps.map((c) => [c.name, c.remaining]); }

    give() {
        this.outcome = 'matched';
        this.#note();
        for (const p of this.effects) { if (p.eff.type !== 'multiplier') { this.#cut(p); } }
    }

    /** sums(wallet): what its group gave into a wallet. */
    multiply(sums) {
        if (!this.effects.some((p) => p.eff.type === 'multiplier')) { return; }
        this.capsThen = this.caps.map((c) => c.remaining);
        this.group = this.effects.map(() => 0n);
        this.effects.forEach((p, i) => {
            if (p.eff.type !== 'multiplier') { return; }
            this.group[i] = sums(p.eff.wallet, i);
            p.of = undefined;
            const f = add(p.eff.factor, int(1), -1n);
            try {
                Object.assign(p, exact(f.m * this.group[i], pow10(f.s), p.eff.rounding));
                this.#cut(p);
            } catch (x) {
                if (x instanceof Stop) { x.pointer ??= `/effects/${i}`; }
                // what it took from caps before goes back
                for (const cap of this.caps) { cap.remaining += this.points; }
                throw x;
            }
        });
    }

    drop() {
        this.outcome = 'not_matched';
        this.reason = 'stacking';
        this.effects = null;
        this.#note();
    }

    onlyMultiplies() { return this.effects.every((p) => p.eff.type === 'multiplier'); }
}

/** Which candidates are kept (section 8). */
function keep(candidates) {
    const exclusive = candidates.find((c) => c.rule.stacking.mode === 'exclusive');
    if (exclusive) { return new Set([exclusive]); }
    const kept = new Set();
    for (const group of new Set(candidates.map((c) => c.rule.stacking.group))) {
        const members = candidates.filter((c) => c.rule.stacking.group === group);
        const mode = members[0].rule.stacking.mode;
        const competing = members.filter((c) => mode !== 'all' && !c.onlyMultiplies());
        let winner = competing[0];
        for (const c of competing) {
            if (mode === 'best' && c.before > winner.before) { winner = c; }
        }
        for (const c of members) { if (!competing.includes(c) || c === winner) { kept.add(c); } }
    }
    return kept;
}

/** caps: [{name, remaining}], changed.  Results in the order of rules. */
export function evaluate(rules, input, caps = []) {
    const cases = rules.map((rule) => new Case(rule, input, caps));
    const order = [...cases].sort((a, b) => Number(b.rule.priority - a.rule.priority));
    for (const c of order) { c.prepare(); }
    const candidates = order.filter((c) => c.candidate);
    const kept = keep(candidates);
    for (const c of candidates) { c.kept = kept.has(c);
        if (c.kept) { c.give(); } else { c.drop(); } }
    const given = (group, wallet) => candidates
        .filter((c) => c.kept && c.outcome !== 'error' && c.rule.stacking.group === group)
        .flatMap((c) => c.effects.filter((p) => p.eff.type !== 'multiplier'
            && p.eff.wallet === wallet))
        .reduce((a, p) => a + p.points, 0n);
    for (const c of candidates) {
        if (!c.kept) { continue; }
        try {
            c.multiply((wallet) => given(c.rule.stacking.group, wallet));
        } catch (x) { c.fail(x); }
    }
    return cases;
}


// -- trace -----------------------------------------------------------------------

function tracedNumber(v) {
    const m = typeof v === 'bigint' ? { m: v, s: 0 } : v;
    return m.s === 0 && absM(m.m) <= BigInt(Number.MAX_SAFE_INTEGER) ? new Num(m.m.toString())
        : textOf(m);
}

const amount = (v) => (v.c ? `${textOf(v)} ${v.c}` : v.c === null ? textOf(v) : tracedNumber(v));

function traced(v, type) {
    if (v === undefined) { return null; }
    switch (type.k) {
    case 'int': case 'decimal': return tracedNumber(v);
    case 'money': return amount(v);
    case 'instant': return instantText(v);
    case 'date': return dateText(v);
    case 'list': return v.length;
    default: return v;
    }
}

/** A fact in a trace. */
function tracedFact(decl, v, names) {
    const type = typeOf(decl);
    if (type.k === 'enum') { return type.values[v]; }
    if (type.k !== 'list') { return traced(v, type); }
    if (type.of.k !== 'struct') { return v; }
    return v.map((element) => {
        const out = {};
        for (const name of names ?? []) {
            const f = type.of.fields.get(name);
            const { s, v: x } = element.field(f);
            if (s !== 'missing') { out[name] = s === 'invalid' ? null : tracedFact(f, x); }
        }
        return out;
    });
}

export function traceOf(c) {
    const { rule, input, run: e } = c;
    const sorted = (set) => [...set].sort(compareText);
    const missing = [...sorted(e.missing), ...sorted(e.missingCounters)];
    const caps = (list) => list.map(([name, n]) => [name, tracedNumber(n)]);
    return canonical({
        v: 1,
        rule: rule.digest,
        catalogue: rule.catalogue.digest,
        event: { occurred_at: input.occurred === null ? undefined : instantText(input.occurred),
            source: input.source, type: input.type },
        zone: rule.zoned ? input.zone?.name ?? '' : undefined,
        facts: Object.fromEntries([...e.facts].map(
            ([name, [decl, v]]) => [name, tracedFact(decl, v, rule.fields.get(name))])),
        missing: missing.length ? missing : undefined,
        invalid: e.invalid.size ? sorted(e.invalid) : undefined,
        counters: e.counters.size
            ? Object.fromEntries([...e.counters].map(([k, v]) => [k, tracedNumber(v)])) : undefined,
        caps: c.capsBefore?.length ? caps(c.capsBefore) : undefined,
        caps_then: c.capsThen?.length ? c.capsThen.map(tracedNumber) : undefined,
        group: c.group?.map(tracedNumber),
        nodes: e.nodes,
        more: e.more || undefined,
        outcome: c.outcome,
        reason: c.reason ?? undefined,
        error: c.error ?? undefined,
        effects: c.effects && (c.outcome === 'matched' || c.outcome === 'capped')
            ? c.effects.map((p) => ({
            type: p.eff.type,
            wallet: p.eff.wallet,
            of: p.of && amount(p.of) || (p.of === null ? null : undefined),
            raw: textOf(p.raw),
            rounding: p.eff.rounding,
            rounded: tracedNumber(p.rounded),
            points: tracedNumber(p.points),
            clipped_by: p.clipped,
            shares: p.shares.map(tracedNumber),
        })) : undefined,
        stacking: c.candidate ? { ...rule.stacking, kept: c.kept } : undefined,
    });
}

/** What a trace says in place of event and state. */
class Traced {
    constructor(trace) {
        this.trace = trace;
        const event = trace.get('event');
        this.type = event.get('type');
        this.source = event.get('source');
        this.occurred = event.has('occurred_at') ? readInstant(event.get('occurred_at')) : null;
        this.zone = zoneNamed(trace.get('zone'));
    }

    #named(list, name) { return (this.trace.get(list) ?? []).includes(name); }

    fact(decl) {
        if (this.#named('invalid', decl.name)) { return INVALID; }
        return Traced.read(decl, this.trace.get('facts').get(decl.name));
    }

    static read(decl, raw) {
        if (raw === undefined) { return MISSING; }
        if (raw === null) { return INVALID; }
        if (decl.type === 'money') {
            const [n, c] = String(raw).split(' ');
            const v = readNumber(n);
            return v && isCurrency(c) ? ok({ ...v, c }) : INVALID;
        }
        if (decl.type === 'list of struct') {
            return ok(raw.map((x) => ({ field: (d) => Traced.read(d, x.get(d.name)) })));
        }
        return convert(decl, raw instanceof Num || decl.type !== 'int' ? raw : new Num(raw), null);
    }

    counter(key) {
        const raw = this.trace.get('counters')?.get(key);
        return raw === undefined ? MISSING : ok(readDecimal(raw));
    }
}

const readCaps = (list) => (list ?? []).map(([name, n]) => ({ name, remaining: readDecimal(n).m }));

/** Recomputes a trace from itself: {same, points, trace}. */
export function verify(rule, text) {
    const trace = parseJson(text);
    if (trace.get('rule') !== rule.digest) { return { same: false, why: 'trace.rule' }; }
    if (trace.get('catalogue') !== rule.catalogue.digest) {
        return { same: false, why: 'trace.catalogue' };
    }
    const c = new Case(rule, new Traced(trace), readCaps(trace.get('caps')));
    c.prepare();
    if (c.candidate) {
        c.kept = trace.get('stacking')?.get('kept') === true;
        if (!c.kept) {
            c.drop();
        } else {
            c.give();
            const then = trace.get('caps_then') ?? [];
            c.caps.forEach((cap, i) => {
                cap.remaining = then[i] ? readDecimal(then[i]).m : cap.remaining;
            });
            try {
                c.multiply((wallet, i) => readDecimal(trace.get('group')?.[i] ?? '0').m);
            } catch (x) { c.fail(x); }
        }
    }
    const again = traceOf(c);
    return { same: again === canonical(trace), points: c.points, trace: again };
}


// -- the command line's form --------------------------------------------------------

const INVALID_DATA = new Faults([{ pointer: 'data', code: 'data.invalid' }]);
const mapOf = (v) => (v instanceof Map ? v : new Map());
const depthOf = (v) => (v instanceof Map ? 1 + Math.max(0, ...[...v.values()].map(depthOf))
    : Array.isArray(v) ? 1 + Math.max(0, ...v.map(depthOf)) : 0);

/** The facts of a line's `data`; what is not an object is as if it were not there. */
export function inputOf(data) {
    const [event, state, counters] = ['event', 'state',
        'counters'].map((name) => mapOf(data.get(name)));
    const zone = data.get('zone');
    if (depthOf(event) > DOCUMENT_DEPTH || depthOf(state) > DOCUMENT_DEPTH
        || [...counters.values()].some((v) =>
            readNumber(v instanceof Num ? v.text : typeof v === 'string' ? v
            : '') === null)) { throw INVALID_DATA; }
    return new Input({ event, state, counters, zone: typeof zone === 'string' ? zoneNamed(zone)
        : null });
}

/** The caps of a line's `data`, in its order. */
export function readCapsOf(data) {
    const caps = [...mapOf(data.get('caps'))].map(([name, n]) =>
        ({ name, remaining: readInt(n)?.m }));
    if (caps.length > CAPS_MAX || caps.some((c) => c.name === ''
        || c.remaining === undefined)) { throw INVALID_DATA; }
    return caps;
}

const answered = (c) => [
    `{"outcome":"${c.outcome}"`, `"points":${c.points}`, `"reason":${JSON.stringify(c.reason)}`,
    `"trace":${traceOf(c)}}`,
].join(',');

/** Rules of a list, whose faults point into it. */
function listed(rules, catalogue) {
    if (!Array.isArray(rules) || rules.length > RULES_MAX) { throw new Faults([{ pointer: 'rules',
        code: 'value.type' }]); }
    return rules.map((rule, i) => {
        try {
            return compileValue(rule, catalogue);
        } catch (x) {
            if (x instanceof Faults) { x.faults = x.faults.map((f) =>
                ({ ...f, pointer: `/${i}${f.pointer}` })); }
            throw x;
        }
    });
}

/** What `loyalty rules eval` answers a line with. */
export function evalLine(text) {
    try {
        const line = mapOf(parseJson(text));
        const given = line.get('catalogue');
        const catalogue = given ? new Catalogue(given) : DEFAULT_CATALOGUE;
        const rule = line.get('rule');
        const data = mapOf(line.get('data'));
        if (rule === undefined && !line.has('rules')) { throw new Faults([{ pointer: 'rule',
            code: 'member.required' }]); }
        if (rule === undefined) {
            const rules = listed(line.get('rules'), catalogue);
            const caps = readCapsOf(data);
            return `{"result":[${evaluate(rules, inputOf(data), caps).map(answered).join(',')}]}`;
        }
        if (!(rule instanceof Map && rule.has('trigger'))) {
            const c = new Checker(catalogue);
            const n = c.whole(rule, '/condition', '/condition', 'bool');
            if (c.faults.length) { throw new Faults(c.faults); }
            readCapsOf(data);
            const input = inputOf(data);
            return canonical({ result: run(new Run(input, input.zone), n) === true });
        }
        const compiled = compileValue(rule, catalogue);
        const caps = readCapsOf(data);
        const [c] = evaluate([compiled], inputOf(data), caps);
        if (c.error) { throw new Stop(c.error.code, c.error.pointer); }
        return `{"result":${answered(c)}}`;
    } catch (x) {
        if (x instanceof Faults) {
            return canonical({ error: { code: x.faults[0].code, detail: x.faults[0].pointer } });
        }
        if (x instanceof Stop) { return canonical({ error: { code: x.code, detail: x.pointer } }); }
        throw x;
    }
}
