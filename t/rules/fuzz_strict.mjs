// Random well-typed rules on random events, alone and several on one event: the
// engine and the second implementation must give the same results and, byte by
// byte, the same traces.
//
//   node fuzz_strict.mjs [--cases N] [--seed S] [--tool PATH] [--progress N]
//
// Case i has the seed S + i: a difference is shown with the seed that makes it
// again with --cases 1.

import { evalLine } from './reference.mjs';
import { Num, canonical, two } from './values.mjs';
import { Random, compareLines, options } from './fuzz.mjs';

const { cases, seed, tool, show, progress } = options();
let r;

const num = (text) => new Num(String(text));
const op = (name, ...args) => ({ [name]: args });

const CATALOGUE = { extends: 'default', facts: [
    { name: 'member.attributes.size', type: 'enum', values: ['s', 'm', 'l'], ordered: true,
      nullable: true },
    { name: 'member.attributes.hue', type: 'enum', values: ['red', 'green'], nullable: true },
    { name: 'member.tier', type: 'enum', values: ['bronze', 'silver', 'gold'], ordered: true,
      nullable: true },
    { name: 'event.gift', type: 'bool', nullable: true, path: 'attributes.gift' },
    { name: 'event.weight', type: 'decimal', nullable: true, path: 'attributes.weight' },
    { name: 'event.fee', type: 'money', nullable: true, path: 'attributes.fee', unit: 'a parcel' },
    { name: 'event.toll', type: 'money', currency: 'EUR', nullable: true, path: 'attributes.fee' },
    { name: 'event.kind', type: 'enum', values: ['order.paid', 'review.posted'], nullable: true,
        path: 'type' },
    { name: 'event.attributes', type: 'money', nullable: true, path: 'attributes' },
    { name: 'member.purse', type: 'money', nullable: true },
    { name: 'event.due', type: 'date', nullable: true, path: 'attributes.due' },
    { name: 'event.tags', type: 'list', of: 'string', nullable: true, path: 'attributes.tags' },
    { name: 'event.stops', type: 'list', nullable: true, path: 'attributes.stops', of: { fields: [
        { name: 'at', type: 'instant' }, { name: 'km', type: 'decimal', nullable: true },
        { name: 'open', type: 'bool', nullable: true },
        { name: 'names', type: 'list', of: 'string', nullable: true },
    ] } },
] };

const FACTS = {
    int: ['order.line_count', 'balance.available', 'balance.debt', 'refund.line_count'],
    decimal: ['order.quantity', 'refund.quantity'],
    money: ['order.total', 'refund.total'],
    string: ['event.type', 'event.source', 'event.external_id', 'order.currency', 'member.status'],
    bool: [],
    instant: ['now', 'event.occurred_at', 'member.enrolled_at'],
    date: ['member.birthday'],
    texts: ['member.segments', 'member.achievements'],
    lines: ['order.lines', 'refund.lines'],
};
const MORE = {
    decimal: ['event.weight'], money: ['event.fee', 'event.fee', 'event.toll', 'event.attributes',
        'member.purse'], bool: ['event.gift'], date: ['event.due'],
    texts: ['event.tags'], stops: ['event.stops'],
    size: ['member.attributes.size', 'member.tier'], hue: ['member.attributes.hue'],
};
const LINE = { decimal: ['quantity'], money: ['unit_price', 'discount', 'total'],
               string: ['line_id', 'sku'],
               texts: ['categories'] };
const STOP = { decimal: ['km'], instant: ['at'], bool: ['open'], texts: ['names'] };
const SIZES = { 'member.attributes.size': ['s', 'm', 'l'],
                'member.tier': ['bronze', 'silver', 'gold'],
                'member.attributes.hue': ['red', 'green'] };

const STEPS = [['0', 3], ['5', 10], ['20.5', 25], ['100', 60]];
const WORDS = ['', 'a', 'shop', 'vip', 'uk', 'MUG', 'mug', 'Straße', 'ΣΑΣ', 'σας', 'é', 'é', '😀',
               'z', 'A-1', '10', '9'];
const ROUNDINGS = ['floor', 'ceil', 'half_up', 'half_even'];
const ZONES = ['Europe/London', 'America/New_York', 'Australia/Lord_Howe', 'UTC', 'Asia/Kathmandu',
               'Pacific/Apia', 'Africa/Casablanca', 'America/Sao_Paulo'];
const DURATIONS = ['P1D', 'P1M', 'P1Y', 'PT1H', 'PT90M', 'P2W', 'P1Y2M3W4DT5H6M7S', 'P13M',
                   'P1DT12H', 'PT0S', 'P100Y'];
const KEYS = [['order.paid', 'P30D'], ['order.paid', 'PT12H'], ['review.posted', 'P1W']];


// -- rules -------------------------------------------------------------------

let facts;              // what the catalogue of this rule has
let scope;              // fields of the innermost element, or null

function decimalText() {
    return r.pick([
        () => String(r.int(-3, 60)),
        () => `${r.int(-5, 99)}.${r.pick(['5', '25', '99', '005', '50'])}`,
        () => String(r.int(1, 9)) + '0'.repeat(r.int(0, 4)), () => '0', () => '0.000001',
        () => r.chance(0.2) ? '9'.repeat(38) : '12345678901234567890.123456',
    ])();
}
/** Beyond what any shop has: the edges of every range. */
const HUGE = [
    '9223372036854775807', '4611686018427387904', '170141183460469231731', '1e37', '1e-18',
    '99999999999999999999999999999999999999', '-99999999999999999999999999999999999999',
    '50000000000000000000000000000000000000', '0.000000000000000001',
];
const huge = () => {
    const t = r.pick(HUGE);
    return t.includes('e') ? num(t) : r.pick([num(t), t]);
};
const whole = () => String(r.int(-5, 40));

function date() {
    return r.pick([
        () => (r.chance(0.1) ? '0001-01-01' : '2026-03-29'), () => '2024-02-29',
        () => '2026-03-29', () => '2026-10-25', () => '1900-01-01', () => '9999-12-31',
        () => `20${r.int(10, 35)}-${two(r.int(1, 12))}-${two(r.int(1, 28))}`,
    ])();
}
const clock = () => [two(r.int(0, 23)), r.pick(['00', '30', '59']),
                     r.pick(['00', '59'])].join(':');
const instant = () => `${date().replace('9999', '9998')}T${clock()}`
    + r.pick(['', '.5', '.123456']) + r.pick(['Z', '+02:00', '-05:30', '+00:00']);

/** A literal; `beside`: something typed stands beside it. */
function literal(type, beside) {
    switch (type) {
    case 'int': return beside && r.chance(0.3) ? whole() : num(whole());
    case 'decimal': return beside && r.chance(0.5) ? decimalText()
        : num(r.chance(0.05) ? '1.5e2' : decimalText());
    case 'money': return !beside || r.chance(0.25)
        ? op('money', decimalText(), r.chance(0.9) ? 'GBP' : 'EUR')
        : r.chance(0.5) ? decimalText() : num(decimalText());
    case 'string': return r.pick(WORDS);
    case 'bool': return r.chance(0.5);
    case 'instant': return instant();
    case 'date': return date();
    default: return null;
    }
}

const named = (type) => [...facts[type] ?? [], ...(scope?.[type] ?? []), ...(scope?.[type] ?? [])];

function variable(type, plain = 0.85) {
    const name = r.pick(named(type));
    if (r.chance(plain) || ['texts', 'lines', 'stops', 'bool'].includes(type)) {
        return { var: name };
    }
    return { var: [name, type === 'money' ? decimalText() : literal(type, true)] };
}

/** An expression that is typed by itself. */
function typed(type, depth) {
    const choices = [];
    if (named(type).length) { choices.push(() => variable(type), () => variable(type)); }
    if (depth > 0) { choices.push(...MAKERS[type].map((f) => () => f(depth - 1))); }
    if (!choices.length) { return literal(type, false); }
    return r.pick(choices)();
}

/** n operands of one type, of which one at least is typed. */
function operands(type, n, depth) {
    const sure = r.int(0, n - 1);
    return Array.from({ length: n },
                      (_, i) => (i === sure || r.chance(0.4) ? typed(type, depth)
                                                             : literal(type, true)));
}

const number = () => r.pick(['int', 'decimal']);
const scaled = () => [num(r.int(0, r.chance(0.1) ? 12 : 3)), r.pick(ROUNDINGS)];
const list = (type, depth) => (depth > 0 && r.chance(0.3)
    ? op('filter', list(type, depth - 1), within(type, () => bool(depth - 1))) : variable(type));

const fieldsOf = { lines: LINE, stops: STOP, texts: { string: [''] } };
function within(type, f) {
    const outer = scope;
    scope = fieldsOf[type];
    const body = f();
    scope = outer;
    return body;
}

const listType = () => r.pick(['lines', 'lines', 'texts', ...(facts.stops ? ['stops'] : []),
                               ...(scope?.texts ? ['texts'] : [])]);
const overList = (name, f) => (depth) => {
    const t = listType();
    return op(name, list(t, depth), within(t, () => f(t, depth)));
};

const arithmetic = (type) => [
    (d) => op('+', ...operands(type, r.int(2, 3), d)),
    (d) => op('-', ...operands(type, r.int(1, 2), d)),
    (d) => op('abs', typed(type, d)),
    (d) => op(r.pick(['min', 'max']), ...operands(type, r.int(2, 3), d)),
    (d) => op('if', bool(d), ...operands(type, 2, d)),
];
const best = (type) => (d) => {
    const t = listType();
    const l = list(t, d);
    const keys = Object.keys(fieldsOf[t]).filter((k) => k !== 'texts' && k !== 'bool');
    const key = within(t, () => typed(r.pick(keys), 0));
    if (!fieldsOf[t][type]) { return typed(type, d); }
    return op(r.pick(['max_by', 'min_by']), l, key, within(t, () => typed(type, 0)));
};
const counted = { count: true };

const MAKERS = {
    int: [
        ...arithmetic('int'), (d) => op('*', ...operands('int', 2, d)),
        (d) => op('%', typed('int', d), num(r.int(-3, 9))),
        (d) => op('length', typed('string', d)), (d) => {
            const t = listType();
            return op('count', list(t, d));
        },
        overList('count', (t, d) => bool(d)),
        (d) => {
            const t = listType();
            const keys = Object.keys(fieldsOf[t]).filter((k) => k !== 'texts');
            return op('distinct_count', list(t, d),
                      within(t, () => typed(r.pick(keys), d > 1 ? 1 : 0)));
        },
        (d) => op(r.pick(['weekday', 'day', 'month', 'year']),
                  typed(r.pick(['instant', 'date']), d)),
        (d) => op(r.pick(['hour', 'minute']), typed('instant', d)),
        (d) => op(r.pick(['days_between', 'months_between']), typed(r.pick(['instant', 'date']), d),
                  typed(r.pick(['instant', 'date']), d)),
        () => op('count_in_window', ...r.pick(KEYS)),
    ],
    decimal: [
        ...arithmetic('decimal'), (d) => op('*', typed(number(), d), typed('decimal', d)),
        (d) => op('/', typed(number(), d), r.chance(0.5) ? num(r.int(1, 9)) : typed('decimal', d),
                  ...scaled()),
        (d) => op('/', typed('money', d), typed('money', d), ...scaled()),
        (d) => op('round', typed('decimal', d), ...scaled()),
        overList('sum', (t, d) => typed('decimal', d > 1 ? 1 : 0)), best('decimal'),
        () => op('sum_in_window', 'order.paid', 'order.total', 'P30D'),
    ],
    money: [
        ...arithmetic('money'),
        (d) => op('*', typed('money', d), r.chance(0.5) ? num(decimalText()) : typed('decimal', d)),
        (d) => op('/', typed('money', d), num(r.int(1, 9)), ...scaled()),
        (d) => op('round', typed('money', d), ...scaled()),
        (d) => op('sum', list('lines', d), within('lines', () => typed('money', d > 1 ? 1 : 0))),
        best('money'),
    ],
    string: [(d) => op('fold', typed('string', d)),
             (d) => op('if', bool(d), ...operands('string', 2, d)), best('string')],
    instant: [(d) => op(r.pick(['plus', 'minus']), typed('instant', d), r.pick(DURATIONS)),
              best('instant')],
    date: [(d) => op('date', typed('instant', d)),
           (d) => op(r.pick(['plus', 'minus']), typed('date', d),
                     r.pick(DURATIONS.filter((x) => !x.includes('T'))))],
    bool: [(d) => bool(d + 1)],
};

const COMPARED = ['int', 'decimal', 'money', 'money', 'string', 'instant', 'date'];
const presence = () => {
    const type = r.pick(['int', 'money', 'string', 'date', 'lines', 'texts', 'instant']);
    return r.pick(named(type).length ? named(type) : ['now']);
};

const PREDICATES = [
    (d) => {
        const t = r.pick(COMPARED);
        return op(r.pick(['===', '!==', '==', '!=']), ...operands(t, 2, d));
    },
    (d) => op(r.pick(['<', '<=', '>', '>=']), ...operands(r.pick(COMPARED), 2, d)),
    (d) => op(r.pick(['<', '>=']),
              ...(r.chance(0.5) ? [typed('int', d), typed('decimal', d)]
                                : [typed('decimal', d), typed('int', d)])),
    (d) => op(r.pick(['<', '<=']), ...operands(r.pick(COMPARED), 3, d)),
    (d) => op('between', ...operands(r.pick(COMPARED), 3, d)),
    (d) => {
        const t = r.pick(['int', 'decimal', 'string', 'money', 'date']);
        return op('in', typed(t, d),
                  Array.from({ length: r.int(0, 4) },
                             () => (t === 'money' ? decimalText() : literal(t, true))));
    },
    (d) => op('in', typed('string', d), list('texts', d)),
    () => op('in', r.pick(WORDS), variable('texts')),
    (d) => op(r.pick(['contains', 'starts', 'ends', 'equals_fold', 'contains_fold', 'starts_fold',
                      'ends_fold', 'startsWith', 'endsWith']), ...operands('string', 2, d)),
    overList('some', (t, d) => bool(d)), overList('all', (t, d) => bool(d)),
    overList('none', (t, d) => bool(d)),
    () => op('some', [num(1), num(2), num('3.5')], op('>', { var: '' }, num(r.int(0, 4)))),
    () => op(r.pick(['all', 'none']), ['a', 'b', ''], op('===', { var: '' }, r.pick(['a', 'c']))),
    () => op(r.pick(['has', 'missing']), ...Array.from({ length: r.int(1, 2) }, presence)),
    () => op(r.pick(['==', '!=']), variable('money', 1), null),
    () => (facts.size ? op('tier', r.pick(['gold', 'silver'])) : op('tier', 'gold', 'x')),
    () => op(r.pick(['segment', 'achievement']), r.pick(['vip', 'uk', 'none']), 'x'),
    (d) => op('birthday', typed('date', d), typed(r.pick(['date', 'instant']), d)),
    (d) => op('===', bool(d), bool(d)),
    (d) => op('===', op('if', bool(d), bool(d), bool(d)), r.chance(0.5)),
    () => (facts.bool.length ? variable('bool') : true),
    () => (!facts.size ? false : op(r.pick(['<', '===', '>=']), { var: 'member.attributes.size' },
                                    r.pick(['s', 'm', 'l']))),
    () => (!facts.hue ? false : op(r.pick(['===', '!==']), { var: 'member.attributes.hue' },
                                   r.pick(['red', 'green']))),
    () => (facts.hue ? op('in', { var: 'member.tier' }, [r.pick(['gold', 'bronze'])]) : false),
    () => (facts.hue ? op('===', { var: 'event.kind' }, 'order.paid') : true),
];

function bool(depth) {
    if (depth <= 0) { return r.chance(0.1) ? r.chance(0.5) : r.pick(PREDICATES)(0); }
    return r.pick([
        () => op(r.pick(['and', 'or']),
                 ...Array.from({ length: r.int(1, 4) }, () => bool(depth - 1))),
        () => (r.chance(0.5) ? op('!', bool(depth - 1)) : { '!': bool(depth - 1) }),
        () => op('if', bool(depth - 1), bool(depth - 1), bool(depth - 1)),
        ...Array.from({ length: 5 }, () => () => r.pick(PREDICATES)(depth - 1)),
    ])();
}

const POINTS = () => (r.chance(0.01)
    ? r.pick([num('9223372036854775807'), '99999999999999999999999999999999.999999'])
    : r.pick([num(1), '1.5', num(r.int(0, 12)), '0.333333', '10', '0']));

function effect(refund) {
    const e = r.pick([
        () => ({ type: 'fixed', points: num(r.chance(0.02)
            ? r.pick(['9223372036854775807', '4611686018427387904']) : r.int(0, 500)) }),
        () => ({ type: 'rate', points: POINTS(),
            per: { amount: r.pick(['1.00', '3', num(7), '0.07']),
            ...(r.chance(0.2) ? { currency: 'GBP' } : {}) },
                 ...(r.chance(0.3) ? { where: within('lines', () => bool(1)) } : r.chance(0.3)
                     ? { of: typed('money', 2) } : {}) }),
        () => ({ type: 'rate', points: POINTS(), per: { amount: '2' }, of: r.chance(0.3)
            ? 'order.quantity' : typed(number(), 2) }),
        () => ({ type: 'line_bonus', points: POINTS(),
            ...(r.chance(0.7) ? { where: within('lines', () => bool(1)) } : {}),
            ...(r.chance(0.6) ? { per: r.pick(['line', 'unit']) } : {}) }),
        () => ({ type: 'table', of: r.chance(0.5) ? 'order.total' : typed(number(), 1),
            steps: [['0', 3], ['5', 10], ['20.5', 25], ['100', 60]].slice(r.int(0, 2))
            .map(([from, points]) => ({ from, points: num(points) })) }),
        () => ({ type: 'multiplier', factor: r.chance(0.02) ? '99999999999999999999999999999999'
            : r.pick(['1.5', num(2), '1', '2.25', '1.000001']) }),
    ])();
    return { ...e, wallet: r.pick(['points', 'points', 'stars']),
             ...(r.chance(0.5) ? { rounding: r.pick(ROUNDINGS) } : {}) };
}

const eventType = () => r.pick(['order.paid', 'order.paid', 'order.paid', 'order.refunded',
    'review.posted']);

function document(event) {
    const rule = { trigger: { event, ...(r.chance(0.1) ? { sources: ['shop', 'till'] } : {}) },
                   effects: Array.from({ length: r.int(1, 3) }, () => effect()) };
    if (r.chance(0.8)) { rule.condition = bool(r.int(0, 3)); }
    if (r.chance(0.3)) {
        rule.limits = { ...(r.chance(0.6) ? { per_event: num(r.int(0, 300)) } : {}),
                        ...(r.chance(0.4) ? { per_member: num(100) } : {}),
                        ...(r.chance(0.3) ? { per_period: { points: num(50), period: 'day' } }
                                          : {}) };
    }
    if (r.chance(0.1)) {
        const ends = r.chance(0.5);
        const starts = ends ? `2000-${instant().slice(5)}` : instant();
        rule.schedule = { starts_at: r.chance(0.7) ? starts : null,
                          ends_at: ends ? instant() : null };
    }
    if (r.chance(0.1)) { rule.segments = ['vip', 'x']; }
    if (r.chance(0.2)) {
        rule.stacking = { group: r.pick(['a', 'default']),
                          mode: r.pick(['all', 'best', 'first', 'exclusive']) };
    }
    if (r.chance(0.1)) { rule.priority = num(r.int(-5, 5)); }
    return rule;
}

/** A rule among others: most match, groups and modes and priorities meet. */
function neighbour(event) {
    const rule = document(r.chance(0.95) ? event : eventType());
    if (r.chance(0.6)) { delete rule.condition; }
    if (r.chance(0.8)) { delete rule.schedule; delete rule.segments; }
    if (r.chance(0.85)) {
        rule.stacking = {
            group: r.pick(['a', 'a', 'default', 'b']),
            mode: r.pick(['all', 'all', 'best', 'first', r.chance(0.3) ? 'exclusive' : 'best']),
        };
    }
    if (r.chance(0.5)) { rule.priority = num(r.int(-2, 2)); }
    if (r.chance(0.25)) {
        rule.effects.push({
            type: 'multiplier', factor: r.pick(['1.5', num(3), '2.25']),
            wallet: r.pick(['points', 'stars']),
            ...(r.chance(0.5) ? { rounding: r.pick(ROUNDINGS) } : {}),
        });
    }
    if (r.chance(0.1)) {
        rule.effects = [{ type: 'multiplier', factor: num(2), wallet: 'points' }];
    }
    return rule;
}


// -- events ------------------------------------------------------------------

const maybe = (p, f) => (r.chance(p) ? f() : r.chance(0.3) ? null : undefined);
const price = () => r.pick([() => `${r.int(0, 80)}.${r.pick(['00', '5', '99', '125'])}`,
    () => num(`${r.int(0, 50)}.${r.int(0, 99)}`),
                            () => ({ amount: num(r.int(0, 9999)), currency: r.chance(0.98) ? 'GBP'
                                : r.pick(['JPY', 'KWD', 'EUR', 'CLF', 'UYI']) })])();
const broken = (v) => (r.chance(0.01) ? r.pick(['many', num('1e40'), [], true, {}, null, undefined,
    huge(), { amount: num(5) }, { amount: num(5), currency: 'GBP', more: num(1) },
    { amount: num(5), currency: 'gbp' }, { amount: '5', currency: 'GBP' }]) : v);

function line(i) {
    return { line_id: String(i), sku: maybe(0.8, () => r.pick(['MUG', 'TEE', 'mug', 'Straße'])),
             quantity: broken(r.pick([() => num(r.int(1, 9)), () => '1.5', () => num(r.int(-2, 2)),
                 () => '0.333'])()),
             unit_price: broken(price()), discount: maybe(0.3, () => broken(price())),
             categories: maybe(0.7, () => Array.from({ length: r.int(0, 3) },
                 () => r.pick(['home', 'gift', 'vip', 'é']))) };
}

const balance = () => ({ available: maybe(0.8, () => num(r.int(-50, 5000))), debt: num(0) });
const weight = () => (r.chance(0.5) ? decimalText() : num(decimalText()));
const stop = () => ({ at: instant(), km: broken(maybe(0.8, decimalText)),
                      open: maybe(0.7, () => r.chance(0.5)),
                      names: maybe(0.7, () => ['a', r.pick(WORDS)]) });
const lines = () => Array.from({ length: r.int(0, r.chance(0.02) ? 60 : 4) },
                               (_, i) => line(i + 1));

function data(type) {
    const currency = () => (r.chance(0.97) ? 'GBP'
        : r.pick(['EUR', 'gbp', null, undefined, num(5), '']));
    const body = () => ({ currency: currency(), lines: broken(maybe(0.95, lines)) });
    const event = { type: r.chance(0.95) ? type : 'order.paid',
        source: broken(r.pick(['shop', 'till', 'app'])),
        external_id: r.pick(['A-1', 'summer-Σ', '9']),
                    occurred_at: broken(r.chance(0.02)
                        ? r.pick(['9999-12-31T23:30:00Z', '0001-01-01T00:10:00Z',
                        '9999-12-31T10:00:00.5+14:00']) : instant()) };
    if (r.chance(0.01)) { event.type = broken(num(5)); }
    if (type.startsWith('order') && r.chance(0.97)) {
        event[type === 'order.paid' ? 'order' : 'refund'] = body();
    }
    if (r.chance(0.1)) { event.refund = { ...body(), order_external_id: 'A-1' }; }
    if (facts.hue) {
        event.attributes = { gift: maybe(0.6, () => r.chance(0.5)),
                             weight: broken(maybe(0.7, weight)),
                             fee: event.order || event.refund ? maybe(0.7, price) : null,
                             due: maybe(0.7, date),
                             tags: maybe(0.7, () => [r.pick(WORDS), r.pick(WORDS)]),
                             stops: maybe(0.7, () => Array.from({ length: r.int(0, 3) }, stop)) };
    }
    if (facts.hue && r.chance(0.05)) { event.attributes = r.pick([price(), [], 'x', null]); }
    const member = {
        purse: broken(maybe(0.5, price)), status: maybe(0.8, () => 'active'),
        tier: maybe(0.7, () => r.pick(['gold', 'silver'])),
        segments: broken(maybe(0.8, () => ['vip', 'uk'].slice(r.int(0, 2)))),
        achievements: maybe(0.5, () => ['first']), enrolled_at: maybe(0.8, instant),
        birthday: broken(maybe(0.8, date)),
        attributes: { size: broken(maybe(0.7, () => r.pick(['s', 'm', 'l']))),
                      hue: maybe(0.7, () => 'red') },
    };
    const counters = {};
    for (const k of KEYS) {
        if (r.chance(0.7)) {
            counters[`count_in_window:${k.join(':')}`] = r.chance(0.005)
                ? r.pick(['x', true, huge()]) : num(r.int(0, 9));
        }
    }
    if (r.chance(0.7)) { counters['sum_in_window:order.paid:order.total:P30D'] = decimalText(); }
    const caps = {};
    for (const c of ['per_member', 'per_period', 'budget', 'wallet']) {
        if (r.chance(c.startsWith('per') ? 0.9 : 0.2)) {
            caps[c] = num(r.chance(0.02)
                ? r.pick(['9223372036854775807', '-5', '-9223372036854775808', '1.5', '1e2'])
                : r.int(0, 400));
        }
    }
    if (r.chance(0.03)) { caps[r.pick(['per_event', 'per_day', ''])] = num(r.int(0, 40)); }
    return { event, ...(r.chance(0.9) ? { state: { member,
        balance: { available: maybe(0.8, () => num(r.int(-50, 5000))), debt: num(0) } } } : {}),
             counters, caps, ...(r.chance(0.95)
                 ? { zone: r.chance(0.005) ? r.pick(['Nowhere/None', '', num(5)]) : r.pick(ZONES) }
                 : {}) };
}

const merged = Object.fromEntries([...new Set([...Object.keys(FACTS), ...Object.keys(MORE)])]
    .map((k) => [k, [...FACTS[k] ?? [], ...MORE[k] ?? []]]));

function generate(s) {
    r = new Random(s);
    scope = null;
    const custom = r.chance(0.25);
    facts = custom ? merged : FACTS;
    const event = eventType();
    const what = r.next();
    const asked = what < 0.3 ? { rule: bool(r.int(1, 4)) } : what < 0.85 ? { rule: document(event) }
        : { rules: Array.from({ length: r.int(1, 6) }, () => neighbour(event)) };
    return canonical({ ...asked, data: data(event), ...(custom ? { catalogue: CATALOGUE } : {}) });
}

process.exitCode = await compareLines({ tool: [tool, 'rules', 'eval'], cases, seed, progress,
    generate, expect: evalLine, show });
