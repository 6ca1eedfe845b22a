'use strict';
// ioredis: RESP2, pipelines, transactions, pub/sub, blocking commands, scan streams, reconnection.

const Redis = require('ioredis');
const { show, outcome, section, until, sorted, main, port, password } = require('./transcript');

function connect(more = {}) {
  const client = new Redis({ port, host: '127.0.0.1', password, retryStrategy: () => 20, ...more });
  client.on('error', () => {});
  return client;
}

async function collect(stream) {
  const all = [];
  for await (const some of stream) all.push(...some);
  return all;
}

main(async () => {
  const r = connect({ connectionName: 'first' });
  await r.flushall();

  await section('strings', async () => {
    show('set', await r.set('k', 'v'));
    show('get', [await r.get('k'), await r.get('none'), await r.getBuffer('k')]);
    show('set options', [await r.set('k', 'w', 'NX'), await r.set('k', 'w', 'EX', 100, 'GET'), await r.set('k', 'x', 'KEEPTTL')]);
    show('ttl', (await r.ttl('k')) > 90);
    show('mset', [await r.mset({ a: 1, b: 'two' }), await r.mget('a', 'b', 'none'), await r.msetnx('a', 1, 'z', 2)]);
    show('numbers', [await r.incr('n'), await r.incrby('n', 41), await r.decr('n'), await r.incrbyfloat('f', '1.5'), await r.decrby('n', 50)]);
    show('ranges', [await r.append('s', 'hello'), await r.setrange('s', 7, 'world'), await r.getrange('s', 0, -1), await r.strlen('s')]);
    show('getdel', [await r.getdel('a'), await r.getex('b', 'EX', 10), await r.getset('b', 'new')]);
    show('binary', [await r.set('bin', Buffer.from([0, 255, 13, 10])), await r.getBuffer('bin')]);
    show('lcs', [await r.mset('l1', 'ohmytext', 'l2', 'mynewtext'), await r.lcs('l1', 'l2'), await r.lcs('l1', 'l2', 'IDX')]);
    const big = 'x'.repeat(3000000);
    show('big', [await r.set('big', big), (await r.get('big')) === big, await r.del('big')]);
  });

  await section('bits', async () => {
    show('setbit', [await r.setbit('bits', 7, 1), await r.setbit('bits', 100, 1), await r.getbit('bits', 7)]);
    show('bitcount', [await r.bitcount('bits'), await r.bitcount('bits', 0, 8, 'BIT'), await r.bitpos('bits', 1), await r.bitpos('bits', 0)]);
    show('bitop', [await r.bitop('NOT', 'not', 'bits'), await r.bitop('XOR', 'xor', 'bits', 'not'), await r.getBuffer('xor')]);
    show('bitfield', await r.bitfield('bf', 'SET', 'u8', 0, 200, 'OVERFLOW', 'SAT', 'INCRBY', 'u8', 0, 100, 'GET', 'i4', 2, 'OVERFLOW', 'FAIL', 'INCRBY', 'u8', 0, 1));
  });

  await section('keys', async () => {
    show('exists', [await r.exists('k', 'k', 'none'), await r.type('k'), await r.type('none'), await r.touch('k', 'none')]);
    show('expire', [await r.expire('k', 100), await r.expire('k', 50, 'GT'), await r.persist('k'), await r.ttl('k'), await r.ttl('none'), await r.pexpire('none', 10)]);
    show('expireat', [await r.expireat('k', 4000000000), await r.expiretime('k'), await r.pexpiretime('k')]);
    show('gone', [await r.pexpire('k', 1), await until(async () => !(await r.exists('k')), 'k expires'), await r.get('k')]);
    show('rename', [await outcome(r.rename('none', 'x')), await r.rename('n', 'm'), await r.renamenx('m', 'f'), await r.copy('m', 'm2'), await r.copy('m', 'm2', 'REPLACE')]);
    show('keys', sorted(await r.keys('[a-m]*')));
    show('object', [await r.object('ENCODING', 'm'), await r.object('REFCOUNT', 's'), await r.object('ENCODING', 'none')]);
    const dumped = await r.dumpBuffer('s');
    show('dump', [dumped, await r.restore('restored', 0, dumped), await r.get('restored'), await outcome(r.restore('restored', 0, dumped)), await outcome(r.restore('bad', 0, 'nonsense'))]);
    show('unlink', [await r.unlink('s', 'restored', 'none'), await r.del('none')]);
  });

  await section('lists', async () => {
    show('push', [await r.rpush('l', 'a', 'b', 'c', 'd'), await r.lpush('l', 'z'), await r.lpushx('none', 'a'), await r.linsert('l', 'BEFORE', 'b', 'ab')]);
    show('range', [await r.lrange('l', 0, -1), await r.lindex('l', -1), await r.llen('l'), await r.lpos('l', 'c'), await r.lpos('l', 'b', 'COUNT', 0)]);
    show('pop', [await r.lpop('l'), await r.rpop('l', 2), await r.lpop('none'), await r.lpop('none', 2), await r.lmpop(2, 'none', 'l', 'LEFT', 'COUNT', 2)]);
    show('rest', [await r.rpush('l', 1, 2, 1, 3, 1), await r.lrem('l', 2, 1), await r.lset('l', 0, 'first'), await r.ltrim('l', 0, 2), await r.lrange('l', 0, -1), await r.rpoplpush('l', 'l2x'), await r.lmove('l', 'l2x', 'LEFT', 'LEFT'), await r.lrange('l2x', 0, -1)]);
  });

  await section('hashes', async () => {
    show('hset', [await r.hset('h', { f: 1, g: 'two', h: '3.5' }), await r.hget('h', 'g'), await r.hmget('h', 'f', 'x'), await r.hgetall('h'), await r.hgetall('none')]);
    show('more', [await r.hsetnx('h', 'f', 9), await r.hincrby('h', 'f', 5), await r.hincrbyfloat('h', 'h', 0.25), await r.hexists('h', 'x'), await r.hlen('h'), await r.hstrlen('h', 'g'), await r.hdel('h', 'f', 'x'), sorted(await r.hkeys('h')), sorted(await r.hvals('h'))]);
    show('random', [(await r.hrandfield('h', 10, 'WITHVALUES')).length, await r.hrandfield('none')]);
  });

  await section('sets', async () => {
    show('add', [await r.sadd('s1', 1, 2, 3, 4), await r.sadd('s2', 3, 4, 5), await r.sismember('s1', 1), await r.smismember('s1', 1, 9), await r.scard('s1')]);
    show('algebra', [sorted(await r.sinter('s1', 's2')), sorted(await r.sunion('s1', 's2')), sorted(await r.sdiff('s1', 's2')), await r.sintercard(2, 's1', 's2', 'LIMIT', 1), await r.sinterstore('s3', 's1', 's2'), sorted(await r.smembers('s3'))]);
    show('move', [await r.smove('s1', 's2', 1), await r.srem('s1', 2, 9), await r.spop('none'), (await r.spop('s1', 9)).length, await r.exists('s1'), (await r.srandmember('s2', -7)).length]);
  });

  await section('sorted sets', async () => {
    show('add', [await r.zadd('z', 1, 'a', 2, 'b', 3, 'c'), await r.zadd('z', 'XX', 'CH', 5, 'a'), await r.zadd('z', 'INCR', '1.5', 'b'), await r.zadd('z', 'NX', 'INCR', 1, 'b'), await r.zscore('z', 'b'), await r.zmscore('z', 'a', 'x')]);
    show('range', [await r.zrange('z', 0, -1, 'WITHSCORES'), await r.zrevrange('z', 0, 0), await r.zrangebyscore('z', '(3', '+inf'), await r.zrange('z', '-inf', 4, 'BYSCORE', 'LIMIT', 0, 1), await r.zrank('z', 'a'), await r.zrevrank('z', 'x'), await r.zcount('z', 3, 5)]);
    show('lex', [await r.zadd('lex', 0, 'a', 0, 'b', 0, 'c', 0, 'd'), await r.zrangebylex('lex', '[b', '(d'), await r.zlexcount('lex', '-', '+'), await r.zremrangebylex('lex', '-', '(b'), await r.zrange('lex', '+', '-', 'BYLEX', 'REV')]);
    show('combine', [await r.zunionstore('zu', 2, 'z', 'lex', 'WEIGHTS', 2, 3, 'AGGREGATE', 'MAX'), await r.zrange('zu', 0, -1, 'WITHSCORES'), await r.zinter(2, 'z', 'zu', 'WITHSCORES'), await r.zdiff(2, 'zu', 'z'), await r.zintercard(2, 'z', 'zu'), await r.zrangestore('zr', 'z', 0, 1)]);
    show('pop', [await r.zpopmin('z'), await r.zpopmax('z', 2), await r.zpopmin('none'), await r.zincrby('z', 2.5, 'new'), await r.zrem('z', 'new', 'x'), await r.zremrangebyrank('zu', 0, 0), await r.zmpop(1, 'zu', 'MAX'), await r.zmpop(1, 'none', 'MIN')]);
  });

  await section('sort', async () => {
    await r.rpush('tosort', 3, 1, 2);
    await r.mset('w_1', 30, 'w_2', 20, 'w_3', 10);
    show('sort', [await r.sort('tosort'), await r.sort('tosort', 'BY', 'w_*', 'GET', '#', 'GET', 'w_*'), await r.sort('tosort', 'DESC', 'LIMIT', 0, 2), await r.sort('tosort', 'STORE', 'sorted'), await outcome(r.sort('l1'))]);
  });

  await section('scan streams', async () => {
    const pipeline = r.pipeline();
    for (let i = 0; i < 1000; i++) pipeline.set(`scan:${i}`, i).hset('scan-hash', `f${i}`, i).sadd('scan-set', `m${i}`).zadd('scan-zset', i, `m${i}`);
    await pipeline.exec();
    show('scan', new Set(await collect(r.scanStream({ match: 'scan:*', count: 50 }))).size);
    show('scan type', new Set(await collect(r.scanStream({ type: 'zset' }))));
    show('hscan', new Set(await collect(r.hscanStream('scan-hash', { match: '*9' }))).size);
    show('sscan', new Set(await collect(r.sscanStream('scan-set'))).size);
    show('zscan', new Set(await collect(r.zscanStream('scan-zset'))).size);
  });

  await section('pipelines', async () => {
    show('mixed', await r.pipeline().set('p', 1).incr('p').lpush('p', 'x').get('p').exec());
    const many = r.pipeline();
    for (let i = 0; i < 20000; i++) many.incr('counter');
    const answers = await many.exec();
    show('many', [answers.length, answers[19999], answers.every(([e, v], i) => e === null && v === i + 1)]);
    show('at once', (await Promise.all(Array.from({ length: 500 }, (_, i) => r.set(`at:${i}`, i).then(() => r.get(`at:${i}`))))).every((v, i) => v === `${i}`));
  });

  await section('transactions', async () => {
    show('exec', await r.multi().set('t', 1).incr('t').lpush('t', 'x').exec());
    show('one by one', [await r.multi({ pipeline: false }), await r.set('t', 5), await r.get('t'), await r.exec()]);
    show('spoiled', [await r.multi({ pipeline: false }), await outcome(r.call('nosuch')), await outcome(r.exec())]);
    show('discard', [await r.multi({ pipeline: false }), await r.set('t', 9), await r.discard(), await r.get('t')]);
    const other = connect();
    show('watch', [await r.watch('t'), await other.set('t', 'other'), await r.multi().set('t', 'mine').exec(), await r.get('t')]);
    show('unwatch', [await r.watch('t'), await other.set('t', 'other'), await r.unwatch(), await r.multi().set('t', 'mine').exec()]);
    show('errors', [await outcome(r.exec()), await outcome(r.discard())]);
    await other.quit();
  });

  await section('pub/sub', async () => {
    const sub = connect();
    const got = [];
    sub.on('message', (channel, message) => got.push(['message', channel, message]));
    sub.on('pmessage', (pattern, channel, message) => got.push(['pmessage', pattern, channel, message]));
    sub.on('smessage', (channel, message) => got.push(['smessage', channel, message]));
    show('subscribe', [await sub.subscribe('news', 'other'), await sub.psubscribe('n*'), await sub.ssubscribe('shard')]);
    show('publish', [await r.publish('news', 'hello'), await r.publish('nothing', 'x'), await r.publish('nobody', 'there'), await r.spublish('shard', 'shards')]);
    await until(() => got.length === 5, 'the messages');
    show('got', got.map(plainly).sort());
    show('pubsub', [sorted(await r.pubsub('CHANNELS')), await r.pubsub('NUMSUB', 'news', 'none'), await r.pubsub('NUMPAT'), await r.pubsub('SHARDCHANNELS'), await r.pubsub('SHARDNUMSUB', 'shard')]);
    show('refused', await outcome(sub.get('k')));
    show('ping', await sub.ping());
    show('unsubscribe', [await sub.unsubscribe('news', 'other'), await sub.punsubscribe(), await sub.sunsubscribe('shard')]);
    show('back', [await sub.get('t'), await r.publish('news', 'none')]);
    await sub.quit();
  });

  await section('keyspace events', async () => {
    const sub = connect();
    const got = [];
    // Before it is ready ioredis asks for INFO, which a connection that has subscribed meanwhile may not; it connects
    // anew then, and what happens until it is back is not heard.
    await sub.ping();
    show('config', [await r.config('SET', 'notify-keyspace-events', 'KEA'), await r.config('GET', 'notify-keyspace-events')]);
    // Keys of other sections may expire meanwhile.
    sub.on('pmessage', (_pattern, channel, message) => {
      if (channel.endsWith(':watched') || message === 'watched') got.push(`${channel} ${message}`);
    });
    await sub.psubscribe('__key*@0__:*');
    await r.set('watched', 1);
    await r.expire('watched', 100);
    await r.del('watched');
    await until(() => got.length >= 6, () => `the events ${got}`);
    show('got', got);
    await r.config('SET', 'notify-keyspace-events', '');
    await sub.quit();
  });

  await section('blocking', async () => {
    const waiting = connect();
    await waiting.ping();
    const both = async (promise, release) => {
      await until(async () => /blocked_clients:1\r/.test(await r.info('clients')), 'it blocks');
      await release();
      return promise;
    };
    show('blpop', await both(waiting.blpop('b1', 'b2', 5), () => r.rpush('b2', 'v')));
    show('brpop timeout', await waiting.brpop('b1', 0.05));
    show('blmove', await both(waiting.blmove('b1', 'b3', 'LEFT', 'RIGHT', 5), () => r.rpush('b1', 'moved')));
    show('blmpop', await both(waiting.blmpop(5, 1, 'b1', 'LEFT', 'COUNT', 2), () => r.rpush('b1', 1, 2, 3)));
    show('bzpopmin', await both(waiting.bzpopmin('bz', 5), () => r.zadd('bz', 1.5, 'm')));
    show('bzmpop timeout', await waiting.bzmpop('0.05', 1, 'bz', 'MIN'));
    show('brpoplpush', await both(waiting.brpoplpush('b4', 'b5', 5), () => r.multi().rpush('b4', 'x').rpush('b4', 'y').exec()));
    const id = await waiting.client('ID');
    show('unblock', await both(outcome(waiting.blpop('b9', 0)), () => r.client('UNBLOCK', id, 'ERROR')));
    await waiting.quit();
  });

  await section('databases', async () => {
    const second = connect({ db: 3 });
    show('select', [await second.set('only', 'here'), await r.get('only'), await r.select(3), await r.get('only'), await outcome(r.select(99)), await r.dbsize()]);
    show('move', [await r.move('only', 5), await r.select(5), await r.get('only'), await r.copy('only', 'only', 'DB', 3), await r.swapdb(3, 5), await r.select(0)]);
    show('keyspace', (await r.info('keyspace')).split('\r\n').filter((l) => /^db[35]/.test(l)));
    show('flushdb', [await second.flushdb(), await second.dbsize(), await second.flushdb('ASYNC')]);
    await second.quit();
  });

  await section('login', async () => {
    const stranger = connect({ password: undefined, enableReadyCheck: false });
    show('refused', [await outcome(stranger.get('k')), await outcome(stranger.auth('wrong')), await outcome(stranger.auth('nobody', password)), await stranger.auth('default', password), await stranger.get('l1')]);
    const user = connect({ username: 'default' });
    show('user', [await user.ping(), await user.acl('WHOAMI').catch(() => 'default')]);
    const wrong = connect({ password: 'wrong', retryStrategy: null });
    show('wrong', await outcome(wrong.get('k')));
    stranger.disconnect();
    user.disconnect();
    wrong.disconnect();
  });

  await section('client', async () => {
    show('name', [await r.client('GETNAME'), await r.client('SETNAME', 'renamed'), await r.client('GETNAME'), await outcome(r.client('SETNAME', 'with space'))]);
    const line = (await r.client('LIST')).split('\n').filter((l) => l.includes('name=renamed'))[0];
    show('list', line.split(' ').map((f) => f.split('=')[0]).filter((f) => !f.startsWith('lib-')));
    show('info', [/ db=0 /.test(await r.client('INFO')), Number.isInteger(await r.client('ID'))]);
    await outcome(r.client('SETINFO', 'LIB-NAME', 'a-test'));
    show('noevict', [await r.client('NO-EVICT', 'ON'), await r.client('NO-EVICT', 'OFF'), await r.echo('hi'), await r.ping('there')]);
    show('pause', [await r.client('PAUSE', 30, 'WRITE'), await r.set('paused', 1)]);
  });

  await section('errors', async () => {
    await r.set('str', 'x');
    for (const words of [['lpush', 'str', 1], ['incr', 'str'], ['nosuch', 'a', 'b'], ['get'], ['set', 'k', 'v', 'EX'], ['set', 'k', 'v', 'EX', 0], ['client', 'nosuch'], ['config', 'set', 'nosuch', 1], ['zadd', 'zz', 'x', 'y'], ['expire', 'str', 'x'], ['restore', 'x', -1, 'y'], ['bitfield', 'str', 'get', 'u99', 0], ['eval_x'], ['lset', 'none', 0, 'x'], ['hset', 'h', 'odd'], ['object', 'freq', 'str'], ['select', 'x']])
      show(words.join(' '), await outcome(r.call(...words)));
  });

  await section('reconnect', async () => {
    const c = connect({ db: 2, connectionName: 'comes-back' });
    await c.set('mine', 1);
    let ended = 0;
    c.on('close', () => ended++);
    await r.client('KILL', 'ID', await c.client('ID'));
    await until(() => ended === 1, 'the connection is closed');
    show('again', [await c.incr('mine'), await c.client('GETNAME'), / db=2 /.test(await c.client('INFO'))]);
    const sub = connect();
    const got = [];
    sub.on('message', (channel, message) => got.push(`${channel} ${message}`));
    await sub.subscribe('after');
    await r.client('KILL', 'TYPE', 'pubsub');
    await until(async () => (await r.publish('after', 'hello')) === 1, 'it subscribes again');
    await until(() => got.length > 0, 'the message');
    show('subscribed', got[0]);
    await c.quit();
    await sub.quit();
  });

  show('quit', await r.quit());
});

function plainly(words) {
  return words.join(' ');
}
