// The rules engine beside json-logic-js and json-logic-engine (interpreted and
// compiled), on the same rules and orders, in one run.
//
//   node rules.mjs inputs                  what is measured, for build/bench/rules
//   node rules.mjs run FIGURES SECONDS     measures the peers, prints the table
//
// The peers get the order as parsed JSON with its total already in it, and
// evaluate the condition alone; the engine also extracts the facts, gives the
// points of an effect and splits them over the lines.

import fs from 'node:fs';
import { createRequire } from 'node:module';

const CLAUSES = [
    { '>=': [{ var: 'order.total' }, 40] },
    { '===': [{ var: 'member.tier' }, 'gold'] },
    { in: ['vip', { var: 'member.segments' }] },
    { some: [{ var: 'order.lines' }, { in: ['office', { var: 'categories' }] }] },
];
const STATE = {
    member: { status: 'active', tier: 'gold', segments: ['uk', 'vip'],
              enrolled_at: '2024-02-29T23:30:00Z', birthday: '2000-02-29' },
    balance: { available: 1200, pending: 0, held: 0, debt: 0, earned: 5000, spent: 3800 },
};
const KINDS = [['MUG', 2, '10.00', 'home'], ['TEE', 1, '29.99', 'clothes'],
               ['PEN', 3, '15.00', 'office']];

function order(lines) {
    return { type: 'order.paid', source: 'shop', external_id: 'A-1',
             occurred_at: '2026-03-29T12:30:00Z', order: {
                 currency: 'GBP',
                 // the category that a rule looks for stands in the last line
                 lines: Array.from({ length: lines }, (_, i) => {
                     const [sku, quantity, unit_price, category]
                         = KINDS[i === lines - 1 ? 2 : i % 2];
                     return { line_id: String(i + 1), sku, quantity, unit_price,
                              categories: [category] };
                 }) } };
}

const document = (condition, points = 10) => ({
    trigger: { event: 'order.paid' }, condition,
    effects: [{ type: 'fixed', wallet: 'points', points }] });
const four = { and: CLAUSES };
const nested = (depth) => (
    depth === 0 ? CLAUSES[0] : { [depth % 2 ? 'and' : 'or']: [nested(depth - 1)] });
const many = (n) => Array.from({ length: n }, (_, i) => ({ and: [
    { '>=': [{ var: 'order.total' }, i % 60] }, ...CLAUSES.slice(1 + i % 2)] }));

const CASES = [
    { name: 'four clauses, three lines', lines: 3, rules: [four] },
    ...[1, 10, 100, 1000].map((n) => ({ name: `rules ${n}`, lines: 3, rules: many(n) })),
    ...[1, 10, 100, 1000].map((n) => ({ name: `lines ${n}`, lines: n, rules: [four] })),
    ...[1, 10, 28].map((n) => ({ name: `depth ${n}`, lines: 3, rules: [nested(n)] })),
];

function inputs() {
    const lines = [];
    for (const c of CASES) {
        lines.push(`case ${c.name}`, `event ${JSON.stringify(order(c.lines))}`,
                   `state ${JSON.stringify(STATE)}`);
        lines.push(...c.rules.map((r) => `rule ${JSON.stringify(document(r))}`));
    }
    return `${lines.join('\n')}\n`;
}

/** Batches of a millisecond until the time is over: least and median, ns a call. */
function time(seconds, f) {
    const each = [];
    let calls = 1;
    for (let spent = 0; each.length < 2000 && (each.length < 5 || spent < seconds * 1e9);) {
        const began = process.hrtime.bigint();
        for (let i = 0; i < calls; i++) { f(); }
        const took = Number(process.hrtime.bigint() - began);
        if (each.length === 0 && took < 1e6) { calls *= took < 1e5 ? 10 : 2; continue; }
        each.push(took / calls);
        spent += took;
    }
    each.sort((a, b) => a - b);
    return [each[0], each[each.length >> 1]];
}

function peers() {
    const require = createRequire(new URL('../t/rules/fuzz_compatible.mjs', import.meta.url));
    const classic = require('json-logic-js');
    const { LogicEngine } = require('json-logic-engine');
    const engine = new LogicEngine();
    return {
        'json-logic-js': (rule) => (data) => classic.apply(rule, data),
        interpreted: (rule) => (data) => engine.run(rule, data),
        compiled: (rule) => engine.build(rule),
    };
}

// the peers know no totals of lines
function withTotal(event) {
    const cents = event.order.lines.reduce(
        (a, l) => a + l.quantity * Math.round(l.unit_price * 100), 0);
    return { ...event, order: { ...event.order, total: cents / 100 } };
}

function measure(c, seconds) {
    const event = withTotal(order(c.lines));
    const text = JSON.stringify(event);
    const out = {};
    for (const [name, make] of Object.entries(peers())) {
        const rules = c.rules.map(make);
        const data = { ...event, ...STATE };
        if (!rules.every((f) => f(data) === true)) {
            throw new Error(`${name} says no to ${c.name}`);
        }
        out[name] = {
            evaluate: time(seconds, () => { for (const f of rules) { f(data); } }),
            event: time(seconds, () => {
                const d = { ...JSON.parse(text), ...STATE };
                for (const f of rules) { f(d); }
            }),
        };
    }
    return out;
}

/** Heap of one compiled rule. */
function heap(make) {
    const keep = [];
    global.gc?.();
    const before = process.memoryUsage().heapUsed;
    for (let i = 0; i < 2000; i++) {
        const rule = { and: [{ '>=': [{ var: 'order.total' }, i] }, ...CLAUSES.slice(1)] };
        keep.push(make(JSON.parse(JSON.stringify(rule))));
    }
    global.gc?.();
    return keep.length && (process.memoryUsage().heapUsed - before) / keep.length;
}

const us = (ns) => (ns / 1000).toFixed(ns < 10000 ? 2 : 1);
const cell = (x) => String(x).padStart(13);
const row = (name, ...cells) => (
    process.stdout.write(`  ${name.padEnd(34)} ${cells.map(cell).join(' ')}\n`));
const title = (text) => process.stdout.write(`\n${text}\n`);
const note = (text) => process.stdout.write(`    ${text}\n`);

function run(file, seconds) {
    const engine = {};
    for (const l of fs.readFileSync(file, 'utf8').trim().split('\n')) {
        const [name, measured, ...values] = l.split('\t');
        (engine[name] ??= {})[measured] = values.map(Number);
    }
    // 3 peers, 2 figures each; half of the time is for the first case.  What
    // is compiled while it runs has been warmed by a short pass before
    CASES.slice(0, 3).forEach((c) => measure(c, 0.1));
    const figures = CASES.map((c, i) => [c, engine[c.name],
                                         measure(c, seconds / 12
                                                 / (i === 0 ? 1 : CASES.length - 1))]);
    const [, e, p] = figures[0];
    const names = Object.keys(p);

    note('least and median of batches of a millisecond, ours and the peers\' alike');
    title('Rules: four clauses on an order of three lines, us an evaluation');
    row('', 'engine', 'with trace', ...names);
    for (const [i, which] of ['least', 'median'].entries()) {
        row(`condition, effect, shares: ${which}`, us(e.evaluate[i]), us(e.trace[i]),
            ...names.map((n) => us(p[n].evaluate[i])));
    }
    row('times the engine (least)', '1.0', (e.trace[0] / e.evaluate[0]).toFixed(1),
        ...names.map((n) => (p[n].evaluate[0] / e.evaluate[0]).toFixed(1)));
    note('aims: <= 0.5, with trace <= 1.  The peers: the condition alone');

    title('Event parsed and evaluated, thousand a second and core');
    row('', 'engine', 'with trace', ...names);
    for (const [i, which] of ['least time', 'median'].entries()) {
        const all = [e.event, e.event_trace, ...names.map((n) => p[n].event)];
        row(`event of three lines: ${which}`, ...all.map((ns) => (1e6 / ns[i]).toFixed(0)));
    }
    note('aim: >= 800');

    title('Growth: us an event, its facts extracted once');
    row('', 'engine', 'with trace', ...names);
    for (const [i, which] of ['least', 'median'].entries()) {
        for (const [c, mine, theirs] of figures.slice(1)) {
            row(`${c.name}: ${which}`, us(mine.event[i]), us(mine.event_trace[i]),
                ...names.map((n) => us(theirs[n].event[i])));
        }
    }
    note('aim: a hundred rules <= 100');

    title('Memory of a compiled rule of four clauses, bytes');
    const make = peers();
    row('', 'engine', '', ...names);
    row('', e.size[0].toFixed(0), '', ...names.map((n) => Math.max(0, heap(make[n])).toFixed(0)));
}

const [mode, file, seconds] = process.argv.slice(2);
if (mode === 'inputs') {
    process.stdout.write(inputs());
} else if (mode === 'run' && file) {
    run(file, Number(seconds ?? 4));
} else {
    process.stderr.write('usage: rules.mjs inputs | run FIGURES SECONDS\n');
    process.exitCode = 2;
}
