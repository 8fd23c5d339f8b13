// Random classic JsonLogic on random data: where json-logic-js and
// json-logic-engine agree, the engine's compatible mode must give the same.
//
//   node fuzz_compatible.mjs [--cases N] [--seed S] [--tool PATH] [--progress N]

import { createRequire } from 'node:module';

import { Random, compareLines, options } from './fuzz.mjs';

const require = createRequire(import.meta.url);
const classic = require('json-logic-js');
const { LogicEngine } = require('json-logic-engine');

const engine = new LogicEngine();
const { cases, seed, tool, show, progress } = options();
let r;

const NUMBERS = [0, 1, -1, 2, 3, 10, 1.5, -0.25, 0.1, 100, 1e21, 1e-7, 123456789, 9007199254740993,
                 -7];
const TEXTS = ['', 'a', 'b', 'ab', '1', '01', '1.5', ' 3 ', '-2', 'x1', 'é', '😀z', '0x10', 'apple',
               'true', '1e3'];
const NAMES = ['a', 'b', 'c', 'n', 's', 'list', 'items', 'deep.x', 'deep.y.0', 'items.1.q',
               'list.0', 'none', 'deep', 'list.length'];

const scalar =
    () => r.pick([() => r.pick(NUMBERS), () => r.pick(TEXTS), () => r.chance(0.5), () => null])();

function value(depth) {
    if (depth > 0 && r.chance(0.25)) {
        if (r.chance(0.6)) { return Array.from({ length: r.int(0, 4) }, () => value(depth - 1)); }
        return Object.fromEntries(Array.from({ length: r.pick([0, 2, 2, 3]) },
                                             (_, i) => ['pqr'[i], value(depth - 1)]));
    }
    return scalar();
}

function data() {
    if (r.chance(0.05)) { return value(1); }
    return { a: r.pick(NUMBERS), b: r.chance(0.8) ? scalar() : undefined, c: scalar(),
             n: r.pick(NUMBERS), s: r.pick(TEXTS),
             list: Array.from({ length: r.int(0, 4) }, scalar),
             deep: { x: scalar(), y: [scalar()] },
             items: Array.from({ length: r.int(0, 3) },
                               () => ({ q: r.pick(NUMBERS), s: r.pick(TEXTS), l: [scalar()] })) };
}

let inside = 0;

function variable() {
    if (inside && r.chance(0.7)) {
        return { var: r.pick(['', 'q', 's', 'l.0', 'current', 'accumulator', 'current.q']) };
    }
    return r.pick([() => ({ var: r.pick(NAMES) }), () => ({ var: [r.pick(NAMES)] }),
                   () => ({ var: [r.pick(NAMES), scalar()] }),
                   () => ({ var: r.pick(['', 0, 1, null]) })])();
}

const args = (low, high, depth) => Array.from({ length: r.int(low, high) }, () => rule(depth));
const folded = () => (
    { [r.pick(['+', 'cat', 'max'])]: [{ var: 'current' }, { var: 'accumulator' }] });
const over = (depth) => r.pick([
    () => ({ var: r.pick(['list', 'items']) }),
    () => Array.from({ length: r.int(0, 3) }, () => rule(depth)),
    () => rule(depth)])();
function body(depth) {
    inside++;
    const b = rule(depth);
    inside--;
    return b;
}

const OPS = [
    (d) => ({ [r.pick(['==', '!=', '===', '!==', '>', '>=', '<', '<='])]: args(2, 2, d) }),
    (d) => ({ [r.pick(['<', '<='])]: args(3, 3, d) }),
    (d) => ({ [r.pick(['!', '!!'])]: r.chance(0.5) ? args(1, 1, d) : scalar() }),
    (d) => ({ [r.pick(['and', 'or'])]: args(1, 4, d) }),
    (d) => ({ [r.pick(['if', '?:'])]: args(1, 5, d) }),
    (d) => ({ [r.pick(['+', '*'])]: args(1, 3, d) }),
    (d) => ({ [r.pick(['-', '/', '%'])]: args(2, 2, d) }),
    (d) => ({ '-': args(1, 1, d) }),
    (d) => ({ [r.pick(['min', 'max'])]: args(1, 3, d) }),
    (d) => ({ [r.pick(['map', 'filter', 'all', 'none', 'some'])]: [over(d), body(d)] }),
    (d) => ({ reduce: [over(d), r.chance(0.6) ? folded() : body(d), scalar()] }),
    (d) => ({ merge: args(0, 3, d) }),
    (d) => ({ in: [rule(d), over(d)] }),
    (d) => ({ cat: args(0, 3, d) }),
    (d) => ({ substr: [rule(d), r.int(-4, 4), ...(r.chance(0.5) ? [r.int(-3, 4)] : [])] }),
    () => ({ missing: r.chance(0.5) ? [r.pick(NAMES), r.pick(NAMES)]
                                    : [[r.pick(NAMES), r.pick(NAMES)]] }),
    () => ({ missing_some: [r.int(0, 3), [r.pick(NAMES), r.pick(NAMES), r.pick(NAMES)]] }),
    () => variable(), () => variable(), () => variable(),
];

function rule(depth) {
    if (depth <= 0 || r.chance(0.15)) {
        return r.chance(0.5) ? variable() : r.chance(0.9) ? scalar() : value(1);
    }
    return r.pick(OPS)(depth - 1);
}

function generate(s) {
    r = new Random(s);
    return JSON.stringify({ rule: rule(r.int(1, 4)), data: data() });
}

const outcome = (f) => {
    try {
        return JSON.stringify(f() ?? null);
    } catch {
        return null;            // errors have other names everywhere
    }
};

// the result of a line, where both say the same
function expect(line) {
    const given = JSON.parse(line);
    const one = outcome(() => classic.apply(given.rule, given.data));
    if (one === null || one !== outcome(() => engine.run(given.rule, given.data))) { return null; }
    return `{"result":${one}}`;
}

console.log = () => {};         // the operator `log` of both writes there
process.exitCode = await compareLines({ tool: [tool, 'rules', 'eval', '--compatible'], cases, seed,
    progress, generate, expect, show });
