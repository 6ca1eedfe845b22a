'use strict';
// Prints what a client library gives its user, so that two runs against two servers can be compared line by line.


// Sets and maps have an order of their own on each server; numbers of connections and times do too.
function plain(value) {
  if (value === undefined) return 'undefined';
  if (value === null) return 'null';
  if (typeof value === 'number') return String(value); // JSON has no Infinity
  if (typeof value === 'bigint') return `${value}n`;
  if (value instanceof Error) return `${value.constructor.name}(${value.message})`;
  if (Buffer.isBuffer(value)) return `Buffer(${value.toString('latin1').replace(/[^ -~]/g, (c) => '\\x' + c.charCodeAt(0).toString(16).padStart(2, '0'))})`;
  if (value instanceof Set) return `Set{${[...value].map(plain).sort().join(', ')}}`;
  if (value instanceof Map) return `Map{${[...value].map(([k, v]) => `${plain(k)}: ${plain(v)}`).sort().join(', ')}}`;
  if (Array.isArray(value)) return `[${value.map(plain).join(', ')}]`;
  if (typeof value === 'object') return `{${Object.entries(value).map(([k, v]) => `${k}: ${plain(v)}`).sort().join(', ')}}`;
  return JSON.stringify(value);
}

function show(label, value) {
  console.log(`${label}: ${plain(value)}`);
}

// The value of a promise, or its error.
async function outcome(promise) {
  try {
    return await promise;
  } catch (e) {
    return e;
  }
}

async function section(name, body) {
  console.log(`== ${name}`);
  await body();
}

async function until(condition, what) {
  const deadline = Date.now() + 10000;
  for (;;) {
    if (await condition()) return;
    if (Date.now() > deadline) throw new Error(`not in time: ${typeof what === 'function' ? what() : what}`);
    await new Promise((done) => setTimeout(done, 10));
  }
}

function sorted(array) {
  return [...array].sort();
}

// A script ends by itself: one that hangs says so.
function main(run) {
  const guard = setTimeout(() => {
    console.log('FAILED: the script hangs');
    process.exit(3);
  }, 40000);
  run().then(() => {
    clearTimeout(guard);
    process.exit(0);
  }, (e) => {
    console.log(`FAILED: ${e.stack}`);
    process.exit(2);
  });
}

module.exports = { show, outcome, section, until, sorted, main, port: Number(process.argv[2]), password: process.argv[3] };
