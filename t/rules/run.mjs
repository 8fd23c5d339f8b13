// The second implementation on JSON lines, for tests: one answer a line.
//
//   node run.mjs eval      {"rule", "data", "catalogue"} → as `loyalty rules eval`
//   node run.mjs several   {"rules", "data", "catalogue"} → [{outcome, points, trace}]
//   node run.mjs check     {"rule", "catalogue"} → [{pointer, code}]
//   node run.mjs fmt       {"rule", "catalogue"} → the normal form
//   node run.mjs verify    {"rule", "trace", "catalogue"} → true or false

import fs from 'node:fs';

import { compileValue, evalLine, evaluate, readCapsOf, inputOf, traceOf,
         verify } from './reference.mjs';
import { Catalogue, DEFAULT_CATALOGUE } from './language.mjs';
import { Faults, canonical, parseJson } from './values.mjs';

const catalogueOf = (line) => (
    line.get('catalogue') ? new Catalogue(line.get('catalogue')) : DEFAULT_CATALOGUE);
const compiled = (line, rule = line.get('rule')) => compileValue(rule, catalogueOf(line));

const MODES = {
    eval: evalLine,
    several(text) {
        const line = parseJson(text);
        const rules = line.get('rules').map((r) => compiled(line, r));
        const cases = evaluate(rules, inputOf(line.get('data')), readCapsOf(line.get('data')));
        return JSON.stringify(cases.map((c) => (
            { outcome: c.outcome, points: String(c.points), trace: traceOf(c) })));
    },
    check(text) {
        try {
            compiled(parseJson(text));
            return '[]';
        } catch (x) {
            if (x instanceof Faults) { return canonical(x.faults); }
            throw x;
        }
    },
    fmt: (text) => canonical(compiled(parseJson(text)).normal),
    verify(text) {
        const line = parseJson(text);
        return String(verify(compiled(line), canonical(line.get('trace'))).same);
    },
};

const mode = MODES[process.argv[2]];
if (!mode) {
    process.stderr.write(`usage: run.mjs ${Object.keys(MODES).join('|')}\n`);
    process.exit(2);
}
const out = [];
for (const text of fs.readFileSync(0, 'utf8').split('\n')) {
    if (text.trim() !== '') { out.push(mode(text)); }
}
fs.writeSync(1, out.map((l) => `${l}\n`).join(''));
