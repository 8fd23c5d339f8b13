// What both fuzzers share: seeded chance, and lines through one process of the
// engine compared with what another implementation answers.

import { spawn } from 'node:child_process';
import readline from 'node:readline';
import { fileURLToPath } from 'node:url';

export class Random {
    constructor(seed) { this.state = seed >>> 0; }

    next() {
        this.state = (this.state + 0x9e3779b9) >>> 0;
        let z = this.state;
        z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
        z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
        return ((z ^ (z >>> 16)) >>> 0) / 4294967296;
    }

    chance(p) { return this.next() < p; }

    int(low, high) { return low + Math.floor(this.next() * (high - low + 1)); }

    pick(list) { return list[Math.floor(this.next() * list.length)]; }
}

export function options(args = process.argv.slice(2)) {
    const out = { cases: 20000, seed: Date.now() % 1000000000, progress: 0,
                  tool: fileURLToPath(new URL('../../bin/loyalty', import.meta.url)), show: 3 };
    for (let i = 0; i + 1 < args.length; i += 2) {
        const name = args[i].replace(/^--/, '');
        if (!(name in out)) { throw new Error(`unknown option ${args[i]}`); }
        out[name] = name === 'tool' ? args[i + 1] : Number(args[i + 1]);
    }
    return out;
}

/** Two texts from shortly before where they part. */
function apart(got, want) {
    let at = 0;
    while (at < got.length && got[at] === want[at]) { at++; }
    const from = Math.max(0, at - 160);
    const part = (text) => text.slice(from, at + 400);
    return `  at ${at}\n  engine ${part(got)}\n  other  ${part(want)}\n`;
}

/**
 * generate(seed) gives a line or null (left out), expect(line) what must come
 * back, or null when nothing can be said: seeds are taken until `cases` were
 * compared.  Exit code: 0 when all are the same.
 */
export async function compareLines({ tool, cases, seed, progress, generate, expect, show = 3 }) {
    const child = spawn(tool[0], tool.slice(1), { stdio: ['pipe', 'pipe', 'inherit'] });
    const input = readline.createInterface({ input: child.stdout, crlfDelay: Infinity });
    const answers = input[Symbol.asyncIterator]();
    const gone = new Promise((resolve) => { child.on('close', resolve); });
    child.stdin.on('error', () => {});

    let compared = 0;
    let different = 0;
    const answered = {};
    let next = seed;
    let told = 0;
    let taken = 0;
    const counts = () => `${compared} compared, ${different} different`;
    const take = () => {
        const batch = [];
        for (const n = Math.min(200, cases - taken); batch.length < n; next++) {
            const line = generate(next);
            const want = line === null ? null : expect(line);
            if (want !== null) { batch.push([next, line, want]); }
        }
        taken += batch.length;
        child.stdin.write(batch.map(([, line]) => `${line}\n`).join(''));
        return batch;
    };
    // the engine works on a batch while the other answers the next one
    for (let batch = take(), then; batch.length && different < show; batch = then) {
        then = take();
        for (const [s, line, want] of batch) {
            const { value: got } = await answers.next();
            compared++;
            const kind = /^\{"error":\{"code":"([^"]*)"/.exec(want)?.[1]
                ?? /^\{"result":\{"outcome":"(\w+)"/.exec(want)?.[1]
                ?? (want.startsWith('{"result":[{"outcome"') ? 'several' : 'value');
            answered[kind] = (answered[kind] ?? 0) + 1;
            if (got === want) { continue; }
            if (different++ < show) {
                process.stdout.write(`seed ${s}\n  line   ${line}\n${apart(got ?? '', want)}`);
            }
        }
        if (progress && compared >= told + progress) {
            told = compared;
            process.stderr.write(`# ${counts()}, at seed ${next}\n`);
        }
    }
    child.stdin.end();
    const code = await gone;
    const kinds = Object.entries(answered).sort((a, b) => b[1] - a[1]).map(([k, n]) => `${k} ${n}`)
        .join(', ');
    process.stdout.write(`${counts()}, seeds ${seed} to ${next - 1}: ${kinds}\n`);
    return different || compared === 0 || code !== 0 ? 1 : 0;
}
