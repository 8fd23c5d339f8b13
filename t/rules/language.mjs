// The language of docs/rules.md, sections 2, 5, 6 and 13: catalogues, checking,
// operators and the normal form.

import fs from 'node:fs';

import {
    INSTANT_MAX, INSTANT_MIN, Num, Stop, US, ZERO, absM, add, canonical, civil, compareNumbers,
    dateText, divide, escapePointer, floorDiv, instantText, int, isCurrency, isLeap,
    monthLength, moveDay, multiply, oneCurrency, readDate, readDecimal, readDuration,
    readInstant, readNumber, readWindow, remainder, round, sha256, textOf, withCurrency,
} from './values.mjs';
import {
    Run, run,
} from './reference.mjs';


const NODES_MAX = 512;
const DEPTH_MAX = 32;
const LIST_MAX = 1000;
const TEXT_MAX = 4096;


// -- types and catalogue -------------------------------------------------------

const T = Object.fromEntries(['int', 'decimal', 'string', 'bool', 'instant', 'date']
    .map((k) => [k, { k }]));
const moneyType = (c = null) => ({ k: 'money', c });
const isNumber = (t) => t.k === 'int' || t.k === 'decimal';
const isN = (t) => isNumber(t) || t.k === 'money';
const isTime = (t) => t.k === 'instant' || t.k === 'date';

export const LINE = [
    ['line_id', 'string'], ['sku', 'string', true], ['quantity', 'decimal'],
    ['unit_price', 'money'],
    ['discount', 'money'], ['total', 'money'], ['categories', 'list of string'],
].map(([name, type, nullable = false]) => ({
    name, type, nullable, from: 'event', path: name, ordered: false, computed: name === 'total',
}));

export const DEFAULTS = (() => {
    const list = [];
    const fact = (name, type, nullable, path = name, computed = false, fields = undefined) =>
        list.push({ name, type, nullable, path, computed, fields, ordered: false,
                    from: /^(member|balance)\./.test(name) ? 'state' : 'event' });

    fact('event.type', 'string', false, 'type');
    fact('event.source', 'string', false, 'source');
    fact('event.external_id', 'string', false, 'external_id');
    fact('event.occurred_at', 'instant', false, 'occurred_at');
    fact('now', 'instant', false, 'occurred_at', true);
    fact('refund.order_external_id', 'string', true);
    for (const o of ['order', 'refund']) {
        fact(`${o}.currency`, 'string', true);
        fact(`${o}.total`, 'money', true, undefined, true);
        fact(`${o}.line_count`, 'int', true, undefined, true);
        fact(`${o}.quantity`, 'decimal', true, undefined, true);
        fact(`${o}.lines`, 'list of struct', true, undefined, false, LINE);
    }
    fact('member.status', 'string', true);
    fact('member.tier', 'string', true);
    fact('member.segments', 'list of string', true);
    fact('member.achievements', 'list of string', true);
    fact('member.enrolled_at', 'instant', true);
    fact('member.birthday', 'date', true);
    for (const b of ['available', 'pending', 'held', 'debt', 'earned', 'spent']) {
        fact(`balance.${b}`, 'int', true);
    }
    return list;
})();

/** The type of what a declaration names. */
export function typeOf(decl) {
    if (decl.type === 'money') { return moneyType(decl.currency ?? null); }
    if (decl.type === 'enum') { return { k: 'enum', values: decl.values, ordered: decl.ordered }; }
    if (decl.type === 'list of string') { return { k: 'list', of: T.string, decl }; }
    if (decl.type === 'list of struct') {
        const fields = new Map(decl.fields.map((f) => [f.name, f]));
        return { k: 'list', of: { k: 'struct', fields }, decl };
    }
    return T[decl.type];
}

/** A fact as a catalogue writes it. */
function declaration(m, prefix = '') {
    const name = m.get('name');
    const decl = {
        name,
        type: m.get('type'),
        nullable: m.get('nullable') ?? false,
        ordered: m.get('ordered') ?? false,
        computed: false,
        from: m.get('from') ?? (/^(member|balance)\./.test(name) ? 'state' : 'event'),
        path: m.get('path') ?? name,
        unit: m.get('unit') ?? undefined,
        values: m.get('values') ?? undefined,
        currency: m.get('currency') ?? undefined,
    };
    if (decl.type === 'list') {
        const of = m.get('of');
        decl.type = of === 'string' ? 'list of string' : 'list of struct';
        if (of !== 'string') {
            decl.fields = of.get('fields').map((f) => declaration(f, name));
        }
    }
    if (prefix) { decl.from = 'event'; }
    return decl;
}

const DEFAULT_TEXTS = new Map(DEFAULTS.map((f) => [f, canonical(f)]));
const textOfFact = (f) => DEFAULT_TEXTS.get(f) ?? canonical(f);

export class Catalogue {
    /** value: a parsed catalogue, or nothing for the default alone. */
    constructor(value) {
        const facts = new Map(DEFAULTS.map((f) => [f.name, f]));
        if (value) {
            for (const m of value.get('facts') ?? []) {
                const decl = declaration(m);
                facts.set(decl.name, decl);
            }
        }
        this.facts = facts;
        const names = [...facts.keys()].sort(compareText);
        this.digest = sha256(`[${names.map((n) => textOfFact(facts.get(n))).join(',')}]`);
    }
}

export const DEFAULT_CATALOGUE = new Catalogue(null);

/** By code point, as UTF-8 bytes are ordered. */
export function compareText(a, b) {
    if (a === b) { return 0; }
    const n = Math.min(a.length, b.length);
    for (let i = 0; i < n; i++) {
        const x = a.charCodeAt(i);
        const y = b.charCodeAt(i);
        if (x !== y) {
            const sx = x >= 0xd800 && x <= 0xdfff;
            const sy = y >= 0xd800 && y <= 0xdfff;
            return sx !== sy ? (sx ? 1 : -1) : x < y ? -1 : 1;
        }
    }
    return a.length < b.length ? -1 : 1;
}

const FOLD = new Map(JSON.parse(fs.readFileSync(
    new URL('../vectors/rules/fold.json', import.meta.url), 'utf8')));
const fold = (text) => Array.from(text, (c) => {
    const to = FOLD.get(c.codePointAt(0));
    return to === undefined ? c : String.fromCodePoint(to);
}).join('');


// -- checking: from a document to typed nodes ------------------------------------
// a node: {op, args, type, ptr (normal form), sent (as sent), k}
// k: 0 constant, 1 reads the element of its list operator, 2 reads more

const RENAMED = { '==': '===', '!=': '!==', startsWith: 'starts', endsWith: 'ends', not: '!' };
export const ROUNDINGS = ['floor', 'ceil', 'half_up', 'half_even'];
export const BAD = { op: 'bad', args: [], type: null, k: 2 };
const isRaw = (n) => n.op === 'raw';

// a list with an operator in it: {"in": [x, list]} compares x with each element
const comparesEach = (op, raw) => op === 'in' && raw.length === 2 && Array.isArray(raw[1])
    && raw[1].some((e) => e instanceof Map);

/** The arguments of an operation and where they stand. */
function argumentsOf(x, sent) {
    const [[name, value]] = x;
    const under = `${sent}/${escapePointer(name)}`;
    const args = Array.isArray(value) ? value : [value];
    return { args, sents: args.map((_, i) => (Array.isArray(value) ? `${under}/${i}` : under)) };
}

const arityFits = (spec, n) => (
    n >= spec.arity[0] && n <= spec.arity[1] && !(spec.odd && n % 2 === 0));

/** The name of {"var": name} without a default, else null. */
function nameOf(x) {
    const v = x instanceof Map && x.size === 1 ? x.get('var') : null;
    const name = Array.isArray(v) && v.length === 1 ? v[0] : v;
    return typeof name === 'string' ? name : null;
}

/** {"==": [{"var": name}, null]} and its kin: the var, else null. */
function isNullForm(name, args) {
    if ((name !== '==' && name !== '!=') || args.length !== 2 || !args.includes(null)) {
        return null;
    }
    const i = args[0] === null ? 1 : 0;
    return nameOf(args[i]) === null ? null : { name: nameOf(args[i]), i };
}

/** What builders write for a count: the list and the body, else null. */
function countOf(x) {
    const raw = x.get('reduce');
    const only = (n, op, size) => (n instanceof Map && n.size === 1 && Array.isArray(n.get(op))
        && n.get(op).length === size ? n.get(op) : null);
    if (!Array.isArray(raw) || raw.length !== 3) { return null; }
    const list = only(raw[0], 'filter', 2);
    const plus = only(raw[1], '+', 2);
    const is = (n, text) => n instanceof Num && n.text === text;
    return list && plus && is(raw[2], '0') && plus.some((n) => is(n, '1'))
        && plus.some((n) => nameOf(n) === 'accumulator') ? list : null;
}

/** A comparison that stands in the document as two operands only. */
class Pair {
    constructor(raw, sents) { Object.assign(this, { raw, sents }); }
}

export class Checker {
    faults = [];
    nodes = 0;
    scopes = [];
    fields = new Map();         // list fact → names of its fields that are read
    zoned = false;

    constructor(catalogue) { this.catalogue = catalogue; }

    fault(code, sent) {
        this.faults.push({ pointer: sent, code });
        return BAD;
    }

    count(sent) {
        this.nodes++;
        if (this.nodes === NODES_MAX + 1) { this.fault('bound.nodes', sent); }
    }

    // shape: operators, arity, bounds, nulls and what must be a literal, before
    // any type is looked at
    shape(x, sent, depth = 1) {
        if (depth > DEPTH_MAX) { this.fault('bound.depth', sent); return; }
        if (Array.isArray(x)) {
            if (x.length > LIST_MAX) { this.fault('bound.list', sent); return; }
            this.count(sent);
            x.forEach((e, i) => this.literal(e, `${sent}/${i}`));
            return;
        }
        if (!(x instanceof Map)) {
            this.literal(x, sent);
            this.count(sent);
            return;
        }
        if (x.size !== 1) { this.fault('op.shape', sent); return; }
        const [[name, value]] = x;
        const op = RENAMED[name] ?? name;
        const { args, sents } = argumentsOf(x, sent);
        if (name === 'reduce') {
            const counted = countOf(x);
            if (!counted) { this.fault('op.unknown', sent); return; }
            this.count(sent);
            counted.forEach((a, i) => this.shape(a, `${sents[0]}/filter/${i}`, depth + 1));
        } else if (op === '!!' && args.length === 1) {
            this.shape(args[0], sents[0], depth + 1);
        } else if (op === 'var') {
            this.shapeOfVar(args, sent);
        } else if (!Object.hasOwn(OPS, op)) {
            this.fault('op.unknown', sent);
        } else if ((op === 'and' || op === 'or') && Array.isArray(value) && !args.length) {
            this.count(sent);
        } else if (comparesEach(op, args)) {
            this.count(sent);
            args[1].forEach((e, i) => {
                this.count(`${sents[1]}/${i}`);
                this.shape(args[0], sents[0], depth + 2);
                this.shape(e, `${sents[1]}/${i}`, depth + 2);
            });
        } else if (isNullForm(name, args)) {
            this.count(sent);
            this.count(sent);
        } else if (!arityFits(OPS[op], args.length)) {
            this.fault('op.arity', sent);
        } else {
            this.count(sent);
            args.forEach((a, i) => {
                if (OPS[op].quotes && (a instanceof Map || Array.isArray(a))) {
                    this.fault('type.mismatch', sents[i]);
                } else {
                    this.shape(a, sents[i], depth + 1);
                }
            });
        }
    }

    shapeOfVar(args, sent) {
        if (args.length < 1 || args.length > 2) { this.fault('op.arity', sent); return; }
        if (typeof args[0] !== 'string') {
            this.fault(args[0] === null ? 'null.refused' : 'type.mismatch', sent);
            return;
        }
        this.count(sent);
        if (args.length === 2) {
            this.literal(args[1], `${sent}/var/1`);
            this.count(sent);
        }
    }

    literal(x, sent) {
        if (x === null) {
            this.fault('null.refused', sent);
        } else if (x instanceof Map || Array.isArray(x)) {
            this.fault('type.mismatch', sent);
        } else if (x instanceof Num && readNumber(x.text, true) === null) {
            this.fault('literal.invalid', sent);
        } else if (typeof x === 'string' && Buffer.byteLength(x) > TEXT_MAX) {
            this.fault('bound.text', sent);
        }
    }

    /** A condition or an amount, from its shape to its type. */
    whole(x, sent, ptr, want) {
        const before = this.faults.length;
        this.shape(x, sent);
        if (this.faults.length > before) { return BAD; }
        let n = this.node(x, sent);
        if (want === 'bool') {
            n = this.condition(n);
        } else if (n !== BAD) {
            if (isRaw(n)) { n = this.typed(n, this.own(n)); }
            if (n !== BAD && (!n.type || !isN(n.type))) { n = this.fault('type.mismatch', n.sent); }
        }
        place(n, ptr);
        if (this.faults.length === before) { this.constants(n); }
        return n;
    }

    node(x, sent) {
        if (x instanceof Pair) { return this.operator('===', x.raw, x.sents, sent); }
        if (x === null) { return this.fault('null.refused', sent); }
        if (Array.isArray(x)) {
            return { op: 'rawlist', items: x, sent, args: [], type: null, k: 0 };
        }
        if (!(x instanceof Map)) { return { op: 'raw', raw: x, sent, args: [], type: null, k: 0 }; }
        const [[name, value]] = x;
        const { args: raw, sents } = argumentsOf(x, sent);
        const op = RENAMED[name] ?? name;

        if (op === 'var') { return this.variable(raw, sent); }
        if (op === 'has' || op === 'missing') { return this.presence(op, raw, sents, sent); }
        if (op === '!!') { return this.node(raw[0], sents[0]); }
        if (op === 'reduce') {
            return this.operator('count', countOf(x), [0, 1].map((i) => `${sents[0]}/filter/${i}`),
                                 sent);
        }
        if ((op === 'and' || op === 'or') && Array.isArray(value) && raw.length === 0) {
            return literal(true, T.bool, sent);
        }

        const absent = isNullForm(name, raw);
        if (absent) {
            return this.presence(name === '==' ? 'missing' : 'has', [absent.name],
                                 [sents[absent.i]], sent);
        }

        if (comparesEach(op, raw)) {
            const each = raw[1].map((_, i) => `${sents[1]}/${i}`);
            return this.operator('or', raw[1].map((e, i) => (
                new Pair([raw[0], e], [sents[0], each[i]]))), each, sent);
        }
        return this.operator(op, raw, sents, sent);
    }

    operator(op, raw, sents, sent) {
        const spec = OPS[op];
        const n = { op, args: [], type: null, sent, k: 0, spec };
        const type = spec.type(this, n, raw, sents);
        if (!type || n.args.includes(BAD)) { return BAD; }
        if (n.becomes) { return n.becomes; }
        n.type = type;
        const inner = spec.body ? n.args.slice(1).map((a) => (a.k === 1 ? 0 : a.k)) : [];
        n.k = Math.max(0, ...(spec.body ? [n.args[0].k, ...inner] : n.args.map((a) => a.k)),
                       spec.reads ? 2 : 0);
        if (spec.zoned && n.args.some((a) => a.type?.k === 'instant')) {
            this.zoned = true;
            n.k = 2;
        }
        return n;
    }

    plain(raw, sents) { return raw.map((x, i) => this.node(x, sents[i])); }

    /** A name: the element, a field of it, or a fact. */
    lookup(name, sent) {
        const scope = this.scopes.at(-1);
        if (typeof name !== 'string') { return this.fault('type.mismatch', sent); }
        if (!name.includes('.') && name !== 'now') {
            const field = scope?.of.k === 'struct' ? scope.of.fields.get(name) : null;
            if (scope && name === '') { return { type: scope.of, k: 1 }; }
            if (!field) { return this.fault('fact.unknown', sent); }
            if (scope.fact) {
                if (!this.fields.has(scope.fact)) { this.fields.set(scope.fact, new Set()); }
                this.fields.get(scope.fact).add(name);
            }
            return { field, type: typeOf(field), k: 1 };
        }
        const decl = this.catalogue.facts.get(name);
        return decl ? { decl, type: typeOf(decl), k: 2 } : this.fault('fact.unknown', sent);
    }

    variable(raw, sent) {
        const found = this.lookup(raw[0], sent);
        if (found === BAD) { return BAD; }
        const n = { op: 'var', name: raw[0], args: [], sent, ...found };
        if (raw.length === 2) {
            const d = this.typed(this.node(raw[1], `${sent}/var/1`), n.type);
            if (d === BAD) { return BAD; }
            n.dflt = d;
        }
        return n;
    }

    presence(op, raw, sents, sent) {
        const refs = raw.map((name, i) => this.lookup(name, sents[i]));
        if (refs.includes(BAD)) { return BAD; }
        return { op, names: raw, refs, args: [], type: T.bool, sent, spec: OPS[op],
                 k: Math.max(...refs.map((r) => r.k)) };
    }

    /** The type that a literal has by itself. */
    own(n) {
        if (n.raw instanceof Num) { return T.decimal; }
        return typeof n.raw === 'boolean' ? T.bool : T.string;
    }

    /** A literal read as the type beside it; any other node must fit it. */
    typed(n, type) {
        if (n === BAD || !type) { return BAD; }
        if (n.op === 'rawlist') { return this.fault('type.mismatch', n.sent); }
        if (!isRaw(n)) {
            return fits(n.type, type) ? n : this.fault('type.mismatch', n.sent);
        }
        const { raw, sent } = n;
        const text = typeof raw === 'string' ? raw : null;
        const made = (v, t = type) => (
            v === null ? this.fault('literal.invalid', sent) : literal(v, t, sent));
        switch (type.k) {
        case 'int': case 'decimal': case 'money': {
            if (typeof raw === 'boolean') { break; }
            const v = text === null ? readNumber(raw.text, true) : readNumber(text);
            if (v === null) { return made(null); }
            return type.k === 'money' ? made({ ...v, c: null }, moneyType())
                : made(v, v.s ? T.decimal : T.int);
        }
        case 'string': if (text !== null) { return made(text); } break;
        case 'bool':
            if (typeof raw === 'boolean') { return made(raw); }
            if (text === 'true' || text === 'false') { return made(text === 'true'); }
            break;
        case 'instant': if (text !== null) { return made(readInstant(text)); } break;
        case 'date': if (text !== null) { return made(readDate(text)); } break;
        case 'enum': {
            if (text === null) { break; }
            const i = type.values.indexOf(text);
            return i < 0 ? this.fault('enum.unknown', sent) : made(i);
        }
        default:
        }
        return this.fault('type.mismatch', sent);
    }

    /** Gives all of args one type, which is returned; null after a fault. */
    unify(args, allowed) {
        const isList = (n) => n.op === 'rawlist' || (n !== BAD && n.type && !COMPARABLE(n.type));
        const of = args.filter((n) => !isList(n));
        const lists = args.filter(isList);
        lists.forEach((n) => this.fault('type.mismatch', n.sent));
        if (!of.length) { return null; }

        // the first that is no literal, else the first literal of a type of its
        // own, else the first: then texts stay texts
        const first = of.find((n) => !isRaw(n) && n.op !== 'lit')
            ?? of.find((n) => n.op === 'lit' || typeof n.raw === 'boolean') ?? of[0];
        if (first === BAD) { return null; }
        let type = first.type ?? this.own(first);
        if (!allowed(type)) { this.fault('type.mismatch', first.sent); return null; }
        if (type.k === 'money') { type = moneyType(); }     // that of the first that has one
        const open = isRaw(first) && typeof first.raw !== 'boolean';
        let good = !lists.length;
        args.forEach((n, i) => {
            if (isList(n)) { return; }
            args[i] = open ? this.alone(n, type) : this.typed(n, type);
            if (args[i] === BAD) { good = false; return; }
            const joined = join(type, args[i].type);
            if (!joined) { this.fault('currency.mismatch', args[i].sent); good = false; return; }
            type = joined;
        });
        if (!good) { return null; }
        return type.k === 'decimal' && args.every((n) => n.type.k === 'int') ? T.int : type;
    }

    /** A literal beside nothing but literals, the first of that type. */
    alone(n, type) {
        return this.own(n).k === type.k ? this.typed(n, type)
            : this.fault('type.mismatch', n.sent);
    }

    want(n, allowed, type) {
        if (n === BAD) { return BAD; }
        if (isRaw(n)) { return this.typed(n, type ?? this.own(n)); }
        return n.type && allowed(n.type) ? n : this.fault('type.mismatch', n.sent);
    }

    // a boolean stands for itself only
    condition(n) {
        if (isRaw(n) && typeof n.raw !== 'boolean') { return this.fault('type.mismatch', n.sent); }
        return this.want(n, (t) => t.k === 'bool', T.bool);
    }

    string(n) { return this.want(n, (t) => t.k === 'string', T.string); }
    number(n) { return this.want(n, isNumber, T.decimal); }

    time(n, allowed = isTime) {
        if (!isRaw(n)) { return this.want(n, allowed); }
        if (typeof n.raw !== 'string') { return this.fault('type.mismatch', n.sent); }
        const day = allowed(T.date) ? readDate(n.raw) : null;
        if (day !== null) { return literal(day, T.date, n.sent); }
        const us = allowed(T.instant) ? readInstant(n.raw) : null;
        return us === null ? this.fault('literal.invalid', n.sent) : literal(us, T.instant, n.sent);
    }

    text(x, sent, reads = (t) => t, code = 'literal.invalid') {
        if (typeof x !== 'string') { this.fault('type.mismatch', sent); return null; }
        const v = reads(x);
        if (v === null) { this.fault(code, sent); return null; }
        return v;
    }

    /** The list of a list operator; literals where they are allowed. */
    list(x, sent, literals) {
        const n = this.node(x, sent);
        if (n === BAD) { return BAD; }
        if (n.op === 'rawlist' && literals) { return this.literals(n); }
        if (n.type?.k !== 'list') { return this.fault('type.mismatch', sent); }
        return n;
    }

    literals(n, type = null, read = (x, t) => this.typed(x, t)) {
        const items = n.items.map((x, i) => this.node(x, `${n.sent}/${i}`));
        let of = type ?? T.string;
        if (type) {
            items.forEach((_, i) => { items[i] = read(items[i], type); });
            if (items.includes(BAD)) { return BAD; }
        } else if (items.length) {
            of = this.unify(items, () => true);
            if (!of) { return BAD; }
        }
        return { op: 'list', items, args: [], type: { k: 'list', of }, sent: n.sent, k: 0 };
    }

    body(list, x, sent) {
        let source = list;
        while (source.op === 'filter') { source = source.args[0]; }
        this.scopes.push({ of: list.type.of, fact: source.decl?.name ?? null });
        const n = this.node(x, sent);
        this.scopes.pop();
        return n;
    }

    /** Folds the greatest constant nodes; one that cannot be is a fault. */
    constants(n) {
        if (n.op === 'lit' || n.op === 'list' || n.op === 'raw') { return; }
        if (n.k === 0) {
            try {
                n.folded = { v: run(new Run(null, null), n) };
            } catch (e) {
                if (!(e instanceof Stop)) { throw e; }
                this.fault('const.error', n.sent);
            }
            return;
        }
        for (const a of n.args) { this.constants(a); }
    }
}

function literal(v, type, sent) { return { op: 'lit', v, type, args: [], sent, k: 0 }; }

/** May a node of type a stand where type b does? */
function fits(a, b) {
    if (!a || !b) { return false; }
    if (isNumber(a)) { return isNumber(b); }
    if (a.k === 'enum' && b.k === 'enum') { return a.values.join('\0') === b.values.join('\0'); }
    return a.k === b.k && a.k !== 'list';
}

function join(a, b) {
    if (isNumber(a)) { return a.k === 'int' && b.k === 'int' ? T.int : T.decimal; }
    if (a.k !== 'money') { return a; }
    if (a.c && b.c && a.c !== b.c) { return null; }
    return a.c ? a : b;
}

/** Pointers into the normal form. */
function place(n, ptr) {
    n.ptr = ptr;
    n.args.forEach((a, i) => place(a, `${ptr}/${escapePointer(n.op)}/${i}`));
}

/** A node in the normal form. */
export function normal(n) {
    switch (n.op) {
    case 'lit': return normalLiteral(n.v, n.type);
    case 'list': return n.items.map(normal);
    case 'var': return { var: n.dflt ? [n.name, normal(n.dflt)] : n.name };
    case 'has': case 'missing': return { [n.op]: n.names };
    case 'raw': return n.raw;
    default: return { [n.op]: [...n.args.map(normal), ...(n.extra ?? [])] };
    }
}

function normalLiteral(v, type) {
    switch (type.k) {
    case 'int': case 'decimal': return new Num(textOf(v));
    case 'money': return v.c ? { money: [textOf(v), v.c] } : textOf(v);
    case 'instant': return instantText(v);
    case 'date': return dateText(v);
    case 'enum': return type.values[v];
    default: return v;
    }
}


// -- operators -------------------------------------------------------------------
// type(checker, node, raw arguments, their pointers): checks, sets node.args and
// gives the type, or null after a fault.  run(run, node, values): strict ones get
// their values and are not called when one is missing; `pred`: missing is false.

const COMPARABLE = (t) => t.k !== 'list' && t.k !== 'struct';
const ORDERED = (t) => COMPARABLE(t) && t.k !== 'bool' && (t.k !== 'enum' || t.ordered);

function compare(a, b, type) {
    if (isN(type)) {
        if (type.k === 'money') { oneCurrency(a, b); }
        return compareNumbers(a, b);
    }
    if (type.k === 'string') { return compareText(a, b); }
    return a < b ? -1 : a > b ? 1 : 0;
}

function comparison(arity, allowed, test) {
    return {
        arity, pred: true,
        type(c, n, raw, sents) {
            n.args = c.plain(raw, sents);
            n.of = c.unify(n.args, allowed);
            return n.of && T.bool;
        },
        run(e, n, v) {
            for (const [x, i] of v.map((y, j) => [y, j])) {
                if (typeof x === 'string') { e.work(x.length, 64); }
                if (i > 0 && n.op !== 'between' && !test(compare(v[i - 1], x, n.of))) {
                    return false;
                }
            }
            return n.op !== 'between'
                || (compare(v[0], v[1], n.of) >= 0 && compare(v[0], v[2], n.of) <= 0);
        },
    };
}

function arithmetic(arity, f) {
    return {
        arity,
        type(c, n, raw, sents) {
            n.args = c.plain(raw, sents);
            return c.unify(n.args, isN);
        },
        run: (e, n, v) => f(v, (x, y) => (n.type.k === 'money' ? oneCurrency(x, y) : undefined), n),
    };
}

/** Scale and rounding that end the arguments of / and round. */
function scaled(c, n, raw, sents, from) {
    const scale = raw[from] instanceof Num ? readNumber(raw[from].text, true) : null;
    const known = ROUNDINGS.includes(raw[from + 1]);
    const good = scale && !scale.s && scale.m >= 0n && scale.m <= 12n;
    if (!good) { c.fault(scale ? 'value.range' : 'type.mismatch', sents[from]); }
    if (!known) {
        c.fault(typeof raw[from + 1] === 'string' ? 'value.unknown' : 'type.mismatch',
                sents[from + 1]);
    }
    if (!good || !known) { return false; }
    n.scale = Number(scale.m);
    n.rounding = raw[from + 1];
    n.extra = [new Num(String(n.scale)), n.rounding];
    return true;
}

function texts(folded, test) {
    return {
        arity: [2, 2], pred: true,
        type(c, n, raw, sents) {
            n.args = c.plain(raw, sents).map((a) => c.string(a));
            return T.bool;
        },
        run(e, n, [a, b]) {
            e.work(a.length + b.length, 64);
            return folded ? test(fold(a), fold(b)) : test(a, b);
        },
    };
}

/** A list operator: body types, then a walk over the elements. */
function overList(arity, literals, bodies, type, walk, pred = false) {
    return {
        arity, body: true, pred, list: true,
        type(c, n, raw, sents) {
            const list = c.list(raw[0], sents[0], literals);
            if (list === BAD) { return null; }
            n.args = [list,
                      ...raw.slice(1).map((x, i) => bodies(c, c.body(list, x, sents[i + 1]), i))];
            if (n.args.includes(BAD)) { return null; }
            return type(n, list);
        },
        walk,
    };
}

const boolBody = (c, n) => c.condition(n);
const keyBody = (c, n) => {
    if (isRaw(n)) { return c.typed(n, c.own(n)); }
    return n === BAD || (n.type && COMPARABLE(n.type)) ? n : c.fault('type.mismatch', n.sent);
};

/** max_by and min_by: a key has an order. */
function extreme(sign) {
    const bodies = (c, n, i) => {
        const key = keyBody(c, n);
        return i > 0 || key === BAD || ORDERED(key.type) ? key : c.fault('type.mismatch', n.sent);
    };
    return overList([2, 3], false, bodies, (n) => n.args.at(-1).type, (e, n, elements) => {
        let best;
        let found;
        e.each(elements, () => {
            const key = run(e, n.args[1]);
            const value = n.args[2] ? run(e, n.args[2]) : key;
            if (key !== undefined
                && (best === undefined || sign * compare(key, best, n.args[1].type) > 0)) {
                best = key;
                found = value;
            }
            return true;
        });
        return found;
    });
}

/** A calendar operator: its operands are days, or an instant's local time. */
function calendar(types, result, f, pred = false) {
    return {
        arity: [types.length, types.length], pred, zoned: true,
        type(c, n, raw, sents) {
            n.args = c.plain(raw, sents).map((a, i) => c.time(a, types[i]));
            return result;
        },
        run: (e, n, v) => f(...v.map((x, i) => (
            n.args[i].type.k === 'date' ? { day: x } : e.local(x)))),
    };
}

const isDate = (t) => t.k === 'date';
const isInstant = (t) => t.k === 'instant';

function monthsBetween(a, b) {
    if (b < a) { return -monthsBetween(b, a); }
    const x = civil(a);
    const y = civil(b);
    const months = (y.y - x.y) * 12 + y.m - x.m;
    return y.d < Math.min(x.d, monthLength(y.y, y.m)) ? months - 1 : months;
}

function sameBirthday(born, day) {
    const a = civil(born);
    const b = civil(day);
    const d = a.m === 2 && a.d === 29 && !isLeap(b.y) ? 28 : a.d;
    return a.m === b.m && d === b.d;
}

function move(sign) {
    return {
        arity: [2, 2],
        zoned: true,
        type(c, n, raw, sents) {
            n.args = [c.time(c.node(raw[0], sents[0]))];
            n.duration = c.text(raw[1], sents[1], readDuration);
            if (!n.duration || n.args[0] === BAD) { return null; }
            if (isDate(n.args[0].type) && n.duration.timed) {
                c.fault('literal.invalid', sents[1]);
                return null;
            }
            n.extra = [raw[1]];
            return n.args[0].type;
        },
        run(e, n, [v]) {
            const d = n.duration;
            if (isDate(n.type)) { return moveDay(v, d, sign); }
            const l = e.local(v);
            let us = v;
            if (d.months || d.days) {
                const t = (moveDay(l.day, d, sign) * 86400) + l.second;
                us = BigInt(e.zone.fromLocal(t)) * US + l.us;
            }
            us += BigInt(sign * d.seconds) * US;
            if (us < INSTANT_MIN || us > INSTANT_MAX) { throw new Stop('time.range'); }
            return us;
        },
    };
}

/** tier, segment and achievement. */
function among(name) {
    return {
        arity: [1, LIST_MAX], pred: true, reads: true, quotes: true,
        type(c, n, raw, sents) {
            n.decl = c.catalogue.facts.get(name);
            const type = typeOf(n.decl);
            const of = type.k === 'list' ? type.of : type;
            n.values = raw.map((x, i) => {
                const l = c.typed(c.node(x, sents[i]), of);
                return l === BAD ? null : l;
            });
            if (n.values.includes(null)) { return null; }
            n.extra = n.values.map(normal);
            return T.bool;
        },
        run(e, n) {
            const v = e.read(n.decl);
            if (v === undefined) { return undefined; }
            if (Array.isArray(v)) { e.work(v.length, 8); }
            return n.values.some((x) => (Array.isArray(v) ? v.includes(x.v) : v === x.v));
        },
    };
}

function counter(sum) {
    return {
        arity: sum ? [3, 3] : [2, 2], reads: true, quotes: true,
        type(c, n, raw, sents) {
            const event = c.text(raw[0], sents[0],
                                 (t) => (/^[a-z0-9_.]{1,64}$/.test(t) ? t : null));
            let good = event !== null;
            if (sum) {
                const name = c.text(raw[1], sents[1],
                                    (t) => (c.catalogue.facts.has(t)
                                            && /^(?!member|balance)/.test(t)
                    ? t : null), 'fact.unknown');
                if (name === null) {
                    good = false;
                } else if (!isN(typeOf(c.catalogue.facts.get(name)))) {
                    c.fault('type.mismatch', sents[1]);
                    good = false;
                }
            }
            const i = raw.length - 1;
            if (c.text(raw[i], sents[i], readWindow) === null || !good) { return null; }
            n.key = [n.op, ...raw].join(':');
            n.extra = raw;
            return sum ? T.decimal : T.int;
        },
        run: (e, n) => e.counter(n.key),
    };
}

const OPS = {
    and: {
        arity: [1, Infinity], lazy: true,
        type(c, n, raw, sents) {
            n.args = c.plain(raw, sents).map((a) => c.condition(a));
            return T.bool;
        },
        run: (e, n) => n.args.every((a) => run(e, a) === true),
    },
    or: {
        arity: [1, Infinity], lazy: true,
        type(c, n, raw, sents) {
            n.args = c.plain(raw, sents).map((a) => c.condition(a));
            return T.bool;
        },
        run: (e, n) => n.args.some((a) => run(e, a) === true),
    },
    '!': {
        arity: [1, 1], lazy: true,
        type(c, n, raw, sents) {
            n.args = c.plain(raw, sents).map((a) => c.condition(a));
            return T.bool;
        },
        run: (e, n) => run(e, n.args[0]) !== true,
    },
    if: {
        arity: [3, Infinity], odd: true, lazy: true,
        type(c, n, raw, sents) {
            n.args = c.plain(raw, sents);
            const branches = [];
            n.args.forEach((a, i) => {
                if (i % 2 === 1 || i === n.args.length - 1) {
                    branches.push(a);
                } else {
                    n.args[i] = c.condition(a);
                }
            });
            const type = c.unify(branches, COMPARABLE);
            if (!type || n.args.includes(BAD)) { return null; }
            let b = 0;
            n.args = n.args.map((a, i) => (
                i % 2 === 1 || i === n.args.length - 1 ? branches[b++] : a));
            return type;
        },
        run(e, n) {
            let i = 0;
            while (i + 1 < n.args.length && !run(e, n.args[i])) { i += 2; }
            return run(e, n.args[i + 1 < n.args.length ? i + 1 : i]);
        },
    },
    '===': comparison([2, 2], COMPARABLE, (r) => r === 0),
    '!==': comparison([2, 2], COMPARABLE, (r) => r !== 0),
    '<': comparison([2, 3], ORDERED, (r) => r < 0),
    '<=': comparison([2, 3], ORDERED, (r) => r <= 0),
    '>': comparison([2, 2], ORDERED, (r) => r > 0),
    '>=': comparison([2, 2], ORDERED, (r) => r >= 0),
    between: comparison([3, 3], ORDERED, null),
    in: {
        arity: [2, 2], pred: true,
        type(c, n, raw, sents) {
            let x = c.node(raw[0], sents[0]);
            let list = c.node(raw[1], sents[1]);
            if (x === BAD || list === BAD) { return null; }
            if (list.op === 'rawlist') {
                if (isRaw(x)) {
                    const own = c.own(x);
                    const bool = own.k === 'bool';
                    list = c.literals(list, own, (y, t) => (bool ? c.typed(y, t)
                        : c.alone(y, t)));
                    x = c.typed(x, own);
                } else {
                    if (!x.type || !COMPARABLE(x.type)) {
                        c.fault('type.mismatch', x.sent);
                        return null;
                    }
                    list = c.literals(list, x.type);
                }
            } else if (isRaw(list) ? typeof list.raw === 'string' : list.type.k === 'string') {
                n.becomes = c.operator('contains', [raw[1], raw[0]], [sents[1], sents[0]], n.sent);
                return n.becomes === BAD ? null : T.bool;
            } else if (list.type?.k === 'list') {
                x = c.typed(x, list.type.of);
            } else {
                c.fault('type.mismatch', list.sent);
                return null;
            }
            n.args = [x, list];
            return T.bool;
        },
        run(e, n, [x, list]) {
            e.work(list.length, 8);
            return list.some((y) => compare(x, y, n.args[0].type) === 0);
        },
    },
    '+': arithmetic([2, Infinity], (v, cur) => v.reduce((a, b) => {
        const c = cur(a, b);
        return withCurrency(add(a, b), c);
    })),
    '-': arithmetic([1, 2], (v, cur) => {
        if (v.length === 1) { return { ...v[0], m: -v[0].m }; }
        const c = cur(v[0], v[1]);
        return withCurrency(add(v[0], v[1], -1n), c);
    }),
    abs: arithmetic([1, 1], ([v]) => ({ ...v, m: absM(v.m) })),
    min: arithmetic([2, Infinity], (v, cur) => v.reduce((a, b) => {
        const c = cur(a, b);
        return withCurrency(compareNumbers(b, a) < 0 ? b : a, c);
    })),
    max: arithmetic([2, Infinity], (v, cur) => v.reduce((a, b) => {
        const c = cur(a, b);
        return withCurrency(compareNumbers(b, a) > 0 ? b : a, c);
    })),
    '*': {
        arity: [2, Infinity],
        type(c, n, raw, sents) {
            const nodes = c.plain(raw, sents);
            n.args = [c.want(nodes[0], isN, T.decimal), ...nodes.slice(1).map((a) => c.number(a))];
            if (n.args.includes(BAD)) { return null; }
            if (n.args[0].type.k === 'money') { return n.args[0].type; }
            return n.args.every((a) => a.type.k === 'int') ? T.int : T.decimal;
        },
        run: (e, n, v) => v.reduce((a, b) => withCurrency(multiply(a, b), a.c)),
    },
    '/': {
        arity: [4, 4],
        type(c, n, raw, sents) {
            const a = c.want(c.node(raw[0], sents[0]), isN, T.decimal);
            const b = c.want(c.node(raw[1], sents[1]), isN, T.decimal);
            if (!scaled(c, n, raw, sents, 2) || a === BAD || b === BAD) { return null; }
            n.args = [a, b];
            if (b.type.k !== 'money') { return a.type.k === 'money' ? a.type : T.decimal; }
            if (a.type.k !== 'money') { c.fault('type.mismatch', b.sent); return null; }
            if (!join(a.type, b.type)) { c.fault('currency.mismatch', b.sent); return null; }
            return T.decimal;
        },
        run(e, n, [a, b]) {
            if (b.c !== undefined) { oneCurrency(a, b); }
            return withCurrency(divide(a, b, n.scale, n.rounding),
                                n.type.k === 'money' ? a.c : undefined);
        },
    },
    '%': {
        arity: [2, 2],
        type(c, n, raw, sents) {
            n.args = c.plain(raw, sents).map((a) => c.number(a));
            return T.int;
        },
        run: (e, n, [a, b]) => remainder(a, b),
    },
    round: {
        arity: [3, 3],
        type(c, n, raw, sents) {
            n.args = [c.node(raw[0], sents[0])];
            const type = c.unify(n.args, isN);
            if (!scaled(c, n, raw, sents, 1) || !type) { return null; }
            return type.k === 'money' ? type : T.decimal;
        },
        run: (e, n, [a]) => withCurrency(round(a, n.scale, n.rounding), a.c),
    },
    money: {
        arity: [2, 2], quotes: true,
        type(c, n, raw, sents) {
            const v = readDecimal(raw[0]);
            const fault = (x, i, t) => c.fault(typeof x === t ? 'literal.invalid' : 'type.mismatch',
                                               sents[i]);
            if (!v) { fault(raw[0], 0, 'string'); }
            if (!isCurrency(raw[1])) { fault(raw[1], 1, 'string'); return null; }
            if (!v) { return null; }
            n.becomes = literal({ ...v, c: raw[1] }, moneyType(raw[1]), n.sent);
            return n.becomes.type;
        },
    },
    contains: texts(false, (a, b) => a.includes(b)),
    starts: texts(false, (a, b) => a.startsWith(b)),
    ends: texts(false, (a, b) => a.endsWith(b)),
    equals_fold: texts(true, (a, b) => a === b),
    contains_fold: texts(true, (a, b) => a.includes(b)),
    starts_fold: texts(true, (a, b) => a.startsWith(b)),
    ends_fold: texts(true, (a, b) => a.endsWith(b)),
    fold: {
        arity: [1, 1],
        type(c, n, raw, sents) {
            n.args = c.plain(raw, sents).map((a) => c.string(a));
            return T.string;
        },
        run: (e, n, [a]) => fold(a),
    },
    length: {
        arity: [1, 1],
        type(c, n, raw, sents) {
            n.args = c.plain(raw, sents).map((a) => c.string(a));
            return T.int;
        },
        run: (e, n, [a]) => int(Array.from(a).length),
    },
    some: overList([2, 2], true, boolBody, () => T.bool, (e, n, elements) => {
        let hit = false;
        e.each(elements, () => { hit = run(e, n.args[1]) === true; return !hit; });
        return hit;
    }, true),
    all: overList([2, 2], true, boolBody, () => T.bool, (e, n, elements) => {
        let good = elements.length > 0;
        e.each(elements, () => { good = run(e, n.args[1]) === true; return good; });
        return good;
    }, true),
    none: overList([2, 2], true, boolBody, () => T.bool, (e, n, elements) => {
        let hit = false;
        e.each(elements, () => { hit = run(e, n.args[1]) === true; return !hit; });
        return !hit;
    }, true),
    count: overList([1, 2], true, boolBody, () => T.int, (e, n, elements) => {
        let count = elements.length;
        if (n.args[1]) {
            count = 0;
            e.each(elements, () => { count += run(e, n.args[1]) ? 1 : 0; return true; });
        }
        return int(count);
    }),
    sum: overList([2, 2], false, (c, n) => c.want(n, isN, T.decimal), (n) => n.args[1].type,
        (e, n, elements) => {
            let sum = n.type.k === 'money' ? { ...ZERO, c: null } : ZERO;
            e.each(elements, () => {
                const v = run(e, n.args[1]);
                sum = v && sum
                    && withCurrency(add(sum, v),
                                    v.c === undefined ? undefined : oneCurrency(sum, v));
                return true;
            });
            return sum;
        }),
    filter: overList([2, 2], false, boolBody, (n, list) => list.type, (e, n, elements) => {
        const kept = [];
        e.each(elements, (x) => { if (run(e, n.args[1])) { kept.push(x); } return true; });
        return kept;
    }),
    max_by: extreme(1),
    min_by: extreme(-1),
    distinct_count: overList([2, 2], false, keyBody, () => T.int, (e, n, elements) => {
        const seen = [];
        e.each(elements, () => {
            const v = run(e, n.args[1]);
            if (v !== undefined && !seen.some((x) => compare(x, v, n.args[1].type) === 0)) {
                seen.push(v);
            }
            return true;
        });
        return int(seen.length);
    }),
    date: calendar([isInstant], T.date, (a) => a.day),
    weekday: calendar([isTime], T.int, (a) => int((((a.day + 3) % 7) + 7) % 7 + 1)),
    hour: calendar([isInstant], T.int, (a) => int(floorDiv(a.second, 3600))),
    minute: calendar([isInstant], T.int, (a) => int(floorDiv(a.second, 60) % 60)),
    day: calendar([isTime], T.int, (a) => int(civil(a.day).d)),
    month: calendar([isTime], T.int, (a) => int(civil(a.day).m)),
    year: calendar([isTime], T.int, (a) => int(civil(a.day).y)),
    days_between: calendar([isTime, isTime], T.int, (a, b) => int(b.day - a.day)),
    months_between: calendar([isTime, isTime], T.int, (a, b) => int(monthsBetween(a.day, b.day))),
    birthday: calendar([isDate, isTime], T.bool, (a, b) => sameBirthday(a.day, b.day), true),
    plus: move(1),
    minus: move(-1),
    tier: among('member.tier'),
    segment: among('member.segments'),
    achievement: among('member.achievements'),
    count_in_window: counter(false),
    sum_in_window: counter(true),
    has: {
        arity: [1, Infinity], quotes: true,
        run: (e, n) => n.refs.map((r) => e.present(r)).every((x) => x),
    },
    missing: {
        arity: [1, Infinity], quotes: true,
        run: (e, n) => !n.refs.map((r) => e.present(r)).every((x) => x),
    },
};
