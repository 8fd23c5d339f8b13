// Random documents, most of them faulty in several places: the engine and the
// second implementation name the same faults.
//
//   node fuzz_faults.mjs [--cases N] [--seed N] [--tool PATH] [--show N] [--progress N]

import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

import { Random, options } from './fuzz.mjs';
import { DEFAULT_CATALOGUE } from './language.mjs';
import { compileValue } from './reference.mjs';
import { Faults, parseJson } from './values.mjs';

const { cases, seed, tool, show, progress } = options();
const BATCH = 12;              // files that the tool takes at once
let r;

const NAMES = ['order.line_count', 'order.quantity', 'order.total', 'balance.available',
    'member.tier', 'member.segments', 'order.lines', 'now', 'member.birthday', 'no.fact', 'sku',
    'total', 'quantity', 'categories', '', 'zz', 'event.type', 'refund.lines'];
const LITERALS = [1, 0, -2, 1.5, 'a', '5', 'x', 'true', true, false, '2026-01-01', 13, 2, 3,
    '2026-01-01T00:00:00Z', 'P1D', 'GBP', 'gold', 'order.paid', 'floor', 'half_up', null];
const PLAIN = { and: [0, 3], or: [0, 3], '!': [1, 1], if: [3, 5], '===': [2, 2], '!==': [2, 2],
    '==': [2, 2], '!=': [2, 2], '<': [2, 3], '<=': [2, 3], '>': [2, 2], '>=': [2, 2],
    between: [3, 3], in: [2, 2], '+': [2, 3], '-': [1, 2], '*': [2, 3], '%': [2, 2], abs: [1, 1],
    min: [2, 3], max: [2, 2], contains: [2, 2], equals_fold: [2, 2], fold: [1, 1],
    length: [1, 1], date: [1, 1], weekday: [1, 1], hour: [1, 1], days_between: [2, 2],
    months_between: [2, 2], birthday: [2, 2], not: [1, 1], '!!': [1, 1] };
const LISTS = ['some', 'all', 'none', 'count', 'sum', 'filter', 'max_by', 'min_by',
    'distinct_count'];

const literal = () => r.pick(LITERALS);
const name = () => r.pick(NAMES);
const times = (low, high, f) => Array.from({ length: r.int(low, high) }, f);
const lines = () => ({ var: 'order.lines' });
const element = () => (r.chance(0.15) ? { var: name() } : literal());

function variable() {
    if (r.chance(0.85)) { return { var: name() }; }
    return { var: r.pick([[name()], [name(), literal()], 5, null, [], [name(), literal(), 1],
        [name(), { var: 'a' }], true]) };
}

const SPECIAL = [
    (d) => ({ [r.pick(LISTS)]: [r.pick([lines, lines, () => ({ var: 'member.segments' }),
        () => node(d - 1), () => ({ filter: [lines(), node(d - 2)] }), () => ['a', 'b']])(),
    ...times(0, 2, () => node(d - 1))] }),
    () => ({ [r.pick(['has', 'missing'])]: times(0, 2, () => r.pick([name, name, literal])()) }),
    () => ({ money: [r.pick(['1.5', 1, 'x', true, node(1)]),
                     r.pick(['GBP', 'EUR', 'gbp', 5, null])] }),
    () => ({ [r.pick(['tier', 'segment', 'achievement'])]:
        times(0, 2, () => r.pick([literal(), node(1), 'gold'])) }),
    () => ({ count_in_window: [r.pick(['order.paid', 'A b', '', literal()]),
                               r.pick(['P1D', 'P1M', 'PT0S', literal()])] }),
    () => ({ sum_in_window: [r.pick(['order.paid', 'A b', literal()]),
                             r.pick(['order.total', 'member.tier', 'no.fact', 'event.type']),
                             r.pick(['P1D', literal()])] }),
    (d) => ({ [r.pick(['/', 'round'])]: [...times(1, 2, () => node(d - 1)),
        r.pick([2, 13, -1, 1.5, '2', literal()]), r.pick(['floor', 'x', 5, literal()])] }),
    (d) => ({ [r.pick(['plus', 'minus'])]: [node(d - 1),
        r.pick(['P1D', 'PT1H', 'x', literal(), { var: 'no.fact' }])] }),
    (d) => r.pick([{ foo: [node(d - 1)] }, {}, { and: [true], or: [] },
        { reduce: [{ filter: [lines(), node(d - 2)] }, { '+': [1, { var: 'accumulator' }] }, 0] }]),
];

function node(depth) {
    const what = r.next();
    if (depth <= 0 || what < 0.25) { return literal(); }
    if (what < 0.5) { return variable(); }
    if (what < 0.56) { return times(0, 3, element); }
    if (what > 0.85) { return r.pick(SPECIAL)(depth); }
    const op = r.pick(Object.keys(PLAIN));
    const args = r.chance(0.05) ? times(0, 4, () => node(depth - 1))
        : times(...PLAIN[op], () => node(depth - 1));
    if (op === 'in' && args.length === 2 && r.chance(0.6)) { args[1] = times(0, 3, element); }
    return { [op]: args.length === 1 && r.chance(0.3) ? args[0] : args };
}

// a member that is now and then of another type
const member = (v, p = 0.15) => (
    r.chance(p) ? r.pick([null, 5, 'x', true, [], {}, -1]) : v);

function effect() {
    const type = r.pick(['fixed', 'rate', 'line_bonus', 'table', 'multiplier']);
    const of = () => r.pick(['order.total', name(), node(2)]);
    const e = { type: member(type, 0.04), wallet: member('p', 0.05) };
    if (type === 'fixed') { e.points = member(5); }
    if (type === 'rate' || type === 'line_bonus') { e.points = member('1.5'); }
    if (type === 'rate') {
        e.per = member({ amount: member(1),
                         ...(r.chance(0.5) && { currency: member('GBP', 0.3) }) });
        if (r.chance(0.5)) { e.of = of(); }
        if (r.chance(0.3)) { e.where = node(2); }
    }
    if (type === 'line_bonus') {
        if (r.chance(0.5)) { e.where = node(2); }
        if (r.chance(0.5)) { e.per = member('unit', 0.3); }
    }
    if (type === 'table') {
        if (r.chance(0.5)) { e.of = of(); }
        e.steps = member(times(0, 3, () => (
            member({ from: member(r.int(0, 5)), points: member(3) }))));
    }
    if (type === 'multiplier') { e.factor = member(2); }
    if (r.chance(0.3)) { e.rounding = member('ceil', 0.4); }
    if (r.chance(0.05)) { e.zz = 1; }
    for (const k of Object.keys(e)) { if (r.chance(0.03)) { delete e[k]; } }
    return e;
}

function document(s) {
    r = new Random(s);
    const many = r.chance(0.4);
    const d = many
        ? { trigger: member({ event: member('order.paid', 0.05) }, 0.02),
            effects: member(times(1, 2, () => member(effect(), 0.03)), 0.03) }
        : { trigger: { event: 'order.paid' },
            effects: [{ type: 'fixed', wallet: 'p', points: 1 }] };
    if (r.chance(0.8)) { d.condition = node(r.int(1, 4)); }
    const now = (k, f) => { if (many && r.chance(0.25)) { d[k] = f(); } };
    now('limits', () => member({ per_event: member(5, 0.3),
                                 per_period: { points: member(5), period: member('day', 0.3) } }));
    now('stacking', () => member({ group: member('g', 0.3), mode: member('best', 0.4) }, 0.1));
    now('schedule', () => member({ starts_at: member('2026-01-01T00:00:00Z', 0.3),
                                   ends_at: member('2026-02-01T00:00:00Z', 0.3) }, 0.1));
    now('segments', () => member(['vip', member('x', 0.3)], 0.2));
    now('priority', () => member(5, 0.4));
    now('base', () => member(true, 0.4));
    return JSON.stringify(d);
}

const told = (faults) => faults.map((f) => `${f.pointer} ${f.code}`).sort().join(', ');

function here(text) {
    try {
        compileValue(parseJson(text), DEFAULT_CATALOGUE);
        return '';
    } catch (x) {
        if (!(x instanceof Faults)) { throw x; }
        return told(x.faults);
    }
}

const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'faults-'));
let different = 0;
let faulty = 0;
try {
    for (let done = 0; done < cases && different < show; done += BATCH) {
        const texts = Array.from({ length: Math.min(BATCH, cases - done) },
                                 (_, i) => document(seed + done + i));
        const files = texts.map((t, i) => {
            const file = path.join(dir, String(i));
            fs.writeFileSync(file, t);
            return file;
        });
        const ran = spawnSync(tool, ['rules', 'check', '-o', 'json', ...files],
                              { encoding: 'utf8', maxBuffer: 1 << 28 });
        const answers = ran.stdout.trim().split('\n');
        texts.forEach((text, i) => {
            const got = answers[i] ? told(JSON.parse(answers[i]).errors ?? []) : ran.stderr;
            const want = here(text);
            faulty += want === '' ? 0 : 1;
            if (got !== want && different++ < show) {
                process.stdout.write(`seed ${seed + done + i}\n  rule   ${text}\n`
                    + `  engine ${got}\n  other  ${want}\n`);
            }
        });
        if (progress && done % progress < BATCH) { process.stderr.write(`# ${done} compared\n`); }
    }
} finally {
    fs.rmSync(dir, { recursive: true });
}
process.stdout.write(`${cases} from seed ${seed}: ${faulty} faulty, ${different} different\n`);
process.exitCode = different || faulty === 0 ? 1 : 0;
