'use strict';
// A mixed load on a cluster by ioredis or node-redis, which checks its own answers until it is told to end.
//
// node cluster_load.js ioredis|node-redis '{"ports": [...], "databases": [[0, ["{tag}", ...]], ...], "name": "a"}'
//
// Keys have the same names in all databases, so that an answer out of the wrong one is seen. "exact": true says that no
// master dies: then each write is there once, and nothing is tried again but redirections that are the caller's.
// "queue": a tag whose list is filled by one connection and emptied by another, which waits for its elements.
//
// Each line of its output is a JSON object: how far it is, an answer that can't be, a value older than one that had
// been acknowledged (with the time of that, for who knows when masters died), an error that the client showed. The load
// ends with its standard input, checks everything once more and says {"end": ...}. A line "down" there says that a node
// is about to die, "up" that all live again.

const clients = { ioredis: require('./cluster_ioredis'), 'node-redis': require('./cluster_node_redis') };
const what = JSON.parse(process.argv[3]);
const GIVE_UP_MS = 30000, RETRY_MS = 50, WORKERS = 3, FIRST_OF_DATABASE = 1000000;
const BREATH_MS = 10; // of a worker, so that the other clients and the nodes have some of the processors

const SILENT_MS = 3000; // of a request while all nodes live: who needs a new client then has got one that is stuck

const retried = {}, waiting = new Map();
let upSince = 0;
const say = line => process.stdout.write(JSON.stringify(line) + '\n');
const pause = ms => new Promise(resolve => setTimeout(resolve, ms));

const long = () => [...waiting.values()].filter(([, since]) => Date.now() - since > 1000).map(([kind]) => kind);

// What becomes of a request. A client that gets stuck is made anew, as restarting a program would; "silent" is thrown.
async function answer(client, work) {
  if (!client.renew || what.exact) return work();
  const since = Date.now();
  let timer;
  const silent = new Promise((_, reject) => {
    timer = setInterval(() => {
      if (Date.now() - Math.max(since, upSince) < SILENT_MS) return;
      clearInterval(timer);
      client.renew().then(() => reject(new Error('silent')), reject);
    }, 200);
  });
  try {
    return await Promise.race([work(), silent]);
  } finally {
    clearInterval(timer);
  }
}

// What a caller of this client writes around it: errors that the client is known not to retry are tried again.
async function trying(kind, client, work) {
  const deadline = Date.now() + GIVE_UP_MS, me = {};
  for (;;) {
    try {
      waiting.set(me, [kind, Date.now()]);
      return await answer(client, work);
    } catch (error) {
      const text = String(error && error.message);
      const known = client.shown(kind, text, Boolean(what.exact));
      if (!known || Date.now() > deadline) {
        say({ error: text, kind });
        return undefined;
      }
      retried[`${kind}: ${known}`] = (retried[`${kind}: ${known}`] || 0) + 1;
      await pause(RETRY_MS);
    } finally {
      waiting.delete(me);
    }
  }
}

class Writer {
  constructor(client, tag, database) {
    this.client = client;
    this.tag = tag;
    this.database = database;
    this.acked = {};
    this.pushed = [];
    this.round = database * FIRST_OF_DATABASE;
    this.counted = null;
  }

  key(name) {
    return `${this.tag}:${what.name}:${name}`;
  }

  named(name) {
    return `${this.key(name)} of database ${this.database}`;
  }

  wrong(name, seen) {
    say({ wrong: `${this.named(name)}: ${JSON.stringify(seen)}`, acked: (this.acked[name] || {}).value });
  }

  // The value of a key that nobody else writes: the last one acknowledged, or one that is known to be older.
  check(name, seen) {
    const acked = this.acked[name];
    if (acked === undefined || seen === undefined) return;
    const value = seen === null ? 0 : Number(seen);
    if (!Number.isInteger(value) || value > acked.value) return this.wrong(name, seen);
    if (value < acked.value) {
      say({ older: this.named(name), tag: this.tag, acked_ms: acked.ms, lost: acked.value - value });
      acked.value = value;
    }
  }

  ack(name, value, ms = Date.now()) {
    this.acked[name] = { value, ms };
  }

  async both(kind, names, write) {
    for (const name of names) await this.reread(kind, name);
    const value = this.round;
    // Before the answer is there, either of the two may be seen; nothing else is read meanwhile.
    if (await trying(kind, this.client, () => write(names.map(n => this.key(n)), value)) === undefined) return;
    names.forEach(n => this.ack(n, value));
    const seen = await trying('mget', this.client, () => this.client.mget(names.map(n => this.key(n))));
    if (seen === undefined) return;
    if (seen[0] !== seen[1]) this.wrong(names[0], seen);
    names.forEach((n, i) => this.check(n, seen[i]));
  }

  async reread(kind, name) {
    this.check(name, await trying('get', this.client, () => this.client.get(this.key(name))));
  }

  async step() {
    const { client } = this, value = ++this.round;
    await this.reread('get', 's');
    if (await trying('set', client, () => client.set(this.key('s'), value)) !== undefined) this.ack('s', value);
    await this.reread('get', 's');
    if (await trying('hset', client, () => client.hset(this.key('h'), 'f', value)) !== undefined) this.ack('h', value);
    const hash = await trying('hgetall', client, () => client.hgetall(this.key('h')));
    if (hash !== undefined) this.check('h', hash.f === undefined ? null : hash.f);
    await this.both('multi', ['a', 'b'], (keys, v) => client.multi(keys, v));
    await this.both('mset', ['x', 'y'], (keys, v) => client.mset(keys, v));
    const length = await trying('rpush', client, () => client.rpush(this.key('l'), value));
    if (length !== undefined) this.pushed.push([value, Date.now()]);
    if (what.exact && length !== undefined && length !== this.pushed.length) this.wrong('l', length);
    await this.comeAndGo(value);
  }

  // A key that is deleted stays so.
  async comeAndGo(value) {
    const { client } = this, key = this.key('d');
    if (await trying('set', client, () => client.set(key, value)) === undefined) return;
    const ms = Date.now(), deleted = await trying('del', client, () => client.del(key));
    if (deleted === undefined) return;
    const seen = await trying('get', client, () => client.get(key));
    if (deleted !== 1 || (seen !== null && seen !== undefined)) {
      say({ older: this.named('d'), tag: this.tag, acked_ms: ms, lost: 1, deleted, seen });
    }
  }

  // At the end: the last value of each key, and all of the list in order.
  async finish() {
    for (const name of ['s', 'a', 'b', 'x', 'y']) await this.reread('get', name);
    const list = await trying('lrange', this.client, () => this.client.lrange(this.key('l')));
    if (list === undefined) return 0;
    const seen = new Set(list.map(Number));
    list.forEach((v, i) => {
      if (i > 0 && Number(v) < Number(list[i - 1])) this.wrong('l', list.slice(Math.max(0, i - 3), i + 3));
    });
    for (const [value, ms] of this.pushed) {
      if (!seen.has(value)) say({ older: this.named('l'), tag: this.tag, acked_ms: ms, lost: 1 });
    }
    if (what.exact && list.length !== this.pushed.length) this.wrong('l', `${list.length} for ${this.pushed.length}`);
    return this.pushed.length;
  }
}

// One number for each key of the pipeline, in different slots where the client allows it: each answer is greater than
// the one before it, or a write was lost; and greater by more than one only if somebody tried it again.
async function pipeline(client, writers) {
  for (const some of client.splits ? [writers] : writers.map(w => [w])) {
    const answers = await trying('pipeline', client, () => client.incr(some.map(w => w.key('n'))));
    if (answers === undefined) return;
    some.forEach((writer, i) => {
      const before = writer.counted;
      if (before && answers[i] <= before.value) {
        say({ older: writer.named('n'), tag: writer.tag, acked_ms: before.ms, lost: before.value - answers[i] + 1 });
      } else if (what.exact && answers[i] !== (before ? before.value : 0) + 1) {
        writer.wrong('n', answers[i]);
      }
      writer.counted = { value: answers[i], ms: Date.now() };
    });
  }
}

// What one puts in at one end comes out at the other, once and in this order.
async function queue(kind, database, isEnding) {
  const [source, sink] = await Promise.all([kind.connect(what.ports, database), kind.connect(what.ports, database)]);
  const key = `${what.queue}:${what.name}:q`;
  let put = 0, over = false, taken = 0;
  const produce = async () => {
    while (!isEnding()) {
      put++;
      await trying('rpush', source, () => source.rpush(key, put));
      await pause(BREATH_MS);
    }
    over = true;
  };
  const consume = async () => {
    for (let silent = 0; (!over || taken < put) && silent < 10;) {
      const value = await trying('blpop', sink, () => sink.blpop(key, 1));
      silent = value === null || value === undefined ? silent + 1 : 0;
      if (silent) continue;
      if (Number(value) !== taken + 1) say({ wrong: `queue of database ${database}: ${value} after ${taken}` });
      taken = Number(value);
    }
    if (taken !== put) say({ wrong: `queue of database ${database}: ${taken} of ${put} came out` });
  };
  await Promise.all([produce(), consume()]);
  return taken;
}

async function main() {
  const kind = clients[process.argv[2]];
  const writers = [], all = [];
  for (const [database, tags] of what.databases) {
    const client = await kind.connect(what.ports, database);
    all.push(client);
    tags.forEach(tag => writers.push(new Writer(client, tag, database)));
  }
  const client = all[0];
  const heard = {}, rounds = [];
  let ending = false;
  const listen = channel => text => {
    const number = Number(text), before = heard[channel] || 0;
    // Plain messages come from any node over its own links: between two of them there is no order.
    if (!Number.isInteger(number) || (channel === 'sharded' && number < before)) {
      say({ wrong: `${channel} ${text} after ${before}` });
    }
    heard[channel] = Math.max(number, before);
  };
  const channel = `news:${what.name}`, sharded = `${writers[1].tag}:news:${what.name}`;
  await client.subscribe(channel, listen('plain'));
  const onSharded = listen('sharded');
  await client.ssubscribe(sharded, onSharded);
  process.stdin.on('data', (text) => { upSince = String(text).includes('up') ? Date.now() : Infinity; });
  process.stdin.on('end', () => { ending = true; });
  const progress = setInterval(() => say({ rounds, heard, retried, waiting: long() }), 50);

  const work = async (number) => {
    const mine = writers.filter((_, i) => i % WORKERS === number);
    for (rounds[number] = 0; !ending; rounds[number]++) {
      for (const writer of mine) {
        await writer.step();
        await pause(BREATH_MS);
      }
      for (const c of all) {
        const some = mine.filter(w => w.client === c);
        if (some.length) await pipeline(c, some);
      }
    }
  };
  const publish = async () => {
    for (let i = 1; !ending; i++) {
      await trying('publish', client, () => client.publish(channel, i));
      await trying('spublish', client, () => client.spublish(sharded, i));
      await pause(5);
    }
  };
  // Where the client may lose a sharded subscription whose slot moves, its caller says it again.
  const listenAgain = async () => {
    for (let before = heard.sharded; client.losesSharded && !ending; before = heard.sharded) {
      await pause(1000);
      if (heard.sharded === before && !ending) {
        await trying('ssubscribe', client, () => client.ssubscribe(sharded, onSharded));
        retried['ssubscribe: silent'] = (retried['ssubscribe: silent'] || 0) + 1;
      }
    }
  };
  listenAgain();
  const queues = what.queue ? what.databases.map(([database]) => queue(kind, database, () => ending)) : [];
  await Promise.all([publish(), ...queues, ...Array.from({ length: WORKERS }, (_, i) => work(i))]);
  let pushed = 0;
  for (const writer of writers) pushed += await writer.finish();
  clearInterval(progress);
  const queued = (await Promise.all(queues)).reduce((sum, n) => sum + n, 0);
  say({ end: true, pushed, queued, retried });
  process.exit(0);
}

main().catch((error) => {
  say({ error: String(error && error.stack) });
  process.exit(1);
});
