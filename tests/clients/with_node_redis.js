'use strict';
// node-redis, once with RESP2 and once with RESP3: its typed replies, iterators, pushes, pools of blocked clients.

const { createClient, WatchError } = require('redis');
const { show, outcome, section, until, sorted, main, port, password } = require('./transcript');

const RESP = Number(process.argv[4] || 2);

async function connect(more = {}) {
  const client = createClient({ url: `redis://default:${encodeURIComponent(password)}@127.0.0.1:${port}`, RESP,
    socket: { reconnectStrategy: 20 }, ...more });
  client.on('error', () => {});
  return client.connect();
}

async function collect(iterator) {
  const all = [];
  for await (const some of iterator) all.push(...(Array.isArray(some) ? some : [some]));
  return all;
}

main(async () => {
  const r = await connect({ name: 'first' });
  await r.flushAll();

  await section('hello', async () => {
    const answer = await r.sendCommand(['HELLO']);
    show('fields', Array.isArray(answer) ? answer.filter((_, i) => i % 2 === 0) : Object.keys(answer));
    show('name', await r.clientGetName());
  });

  await section('strings', async () => {
    show('set', [await r.set('k', 'v'), await r.get('k'), await r.get('none'), await r.set('k', 'w', { condition: 'NX' }), await r.set('k', 'w', { expiration: { type: 'EX', value: 100 }, GET: true })]);
    show('mget', [await r.mSet({ a: '1', b: '2' }), await r.mGet(['a', 'none', 'b']), await r.mSetNX({ a: '3' })]);
    show('numbers', [await r.incr('n'), await r.incrBy('n', 9), await r.incrByFloat('f', 2.25), await r.decrBy('n', 3)]);
    show('text', [await r.append('s', 'abc'), await r.setRange('s', 5, 'x'), await r.getRange('s', 0, -1), await r.strLen('s'), await r.getDel('s'), await r.getEx('a', { type: 'PX', value: 5000 })]);
    show('lcs', [await r.mSet({ l1: 'ohmytext', l2: 'mynewtext' }), await r.lcs('l1', 'l2'), await r.lcsLen('l1', 'l2'), await r.lcsIdx('l1', 'l2')]);
  });

  await section('bits', async () => {
    show('bits', [await r.setBit('bits', 9, 1), await r.getBit('bits', 9), await r.bitCount('bits'), await r.bitPos('bits', 1), await r.bitOp('OR', 'or', ['bits', 'a'])]);
    show('bitfield', await r.bitField('bf', [{ operation: 'INCRBY', encoding: 'i5', offset: 100, increment: 1 }, { operation: 'GET', encoding: 'u4', offset: 0 }]));
  });

  await section('keys', async () => {
    show('keys', [await r.exists(['a', 'b', 'none']), await r.type('a'), await r.expire('a', 100), await r.ttl('none'), await r.persist('a'), await r.pTTL('a'), sorted(await r.keys('l*'))]);
    show('move', [await r.copy('a', 'copy'), await r.rename('copy', 'renamed'), await outcome(r.rename('none', 'x')), await r.unlink(['renamed', 'none']), await r.objectEncoding('a'), await r.objectEncoding('l1')]);
    show('time', [await r.expireAt('a', 4000000000), await r.expireTime('a'), (await r.time()).length]);
  });

  await section('lists', async () => {
    show('lists', [await r.rPush('l', ['a', 'b', 'c', 'b']), await r.lPush('l', 'z'), await r.lRange('l', 0, -1), await r.lPos('l', 'b'), await r.lPosCount('l', 'b', 0), await r.lInsert('l', 'AFTER', 'a', 'aa'), await r.lRem('l', 1, 'b'), await r.lIndex('l', 0), await r.lSet('l', 0, 'y')]);
    show('pops', [await r.lPop('l'), await r.rPopCount('l', 2), await r.lPopCount('none', 2), await r.lmPop(['none', 'l'], 'LEFT'), await r.lMove('l', 'm', 'LEFT', 'RIGHT'), await r.lLen('l')]);
  });

  await section('hashes', async () => {
    show('hashes', [await r.hSet('h', { f: '1', g: 'two' }), await r.hGet('h', 'f'), await r.hGetAll('h'), await r.hmGet('h', ['f', 'x']), await r.hIncrBy('h', 'f', 2), await r.hIncrByFloat('h', 'f', 0.5), await r.hExists('h', 'f'), await r.hLen('h'), await r.hSetNX('h', 'f', '1'), await r.hStrLen('h', 'g')]);
    show('random', [(await r.hRandFieldCount('h', 5)).length, sorted((await r.hRandFieldCountWithValues('h', 5)).map((p) => p.field)), await r.hRandField('none')]);
    show('rest', [sorted(await r.hKeys('h')), sorted(await r.hVals('h')), await r.hDel('h', ['f', 'g']), await r.hGetAll('h')]);
  });

  await section('sets', async () => {
    show('sets', [await r.sAdd('s1', ['1', '2', '3']), await r.sAdd('s2', ['2', '3', '4']), sorted(await r.sMembers('s1')), await r.sIsMember('s1', '1'), await r.smIsMember('s1', ['1', '9']), await r.sCard('s1')]);
    show('algebra', [sorted(await r.sInter(['s1', 's2'])), sorted(await r.sUnion(['s1', 's2'])), sorted(await r.sDiff(['s1', 's2'])), await r.sInterCard(['s1', 's2']), await r.sUnionStore('s3', ['s1', 's2']), await r.sMove('s1', 's2', '1'), await r.sRem('s2', '4')]);
    show('pop', [(await r.sPopCount('s3', 2)).length, (await r.sRandMemberCount('s3', -5)).length, await r.sPop('none')]);
  });

  await section('sorted sets', async () => {
    show('add', [await r.zAdd('z', [{ score: 1, value: 'a' }, { score: 2.5, value: 'b' }, { score: Infinity, value: 'c' }]), await r.zScore('z', 'b'), await r.zScore('z', 'none'), await r.zmScore('z', ['a', 'none', 'c']), await r.zIncrBy('z', 2, 'a'), await r.zAddIncr('z', { score: 1, value: 'a' })]);
    show('range', [await r.zRange('z', 0, -1), await r.zRangeWithScores('z', 0, -1), await r.zRangeByScore('z', 0, 3), await r.zRangeByScoreWithScores('z', '-inf', '+inf'), await r.zRank('z', 'b'), await r.zRevRank('z', 'b'), await r.zCount('z', '(1', '+inf'), await r.zRange('z', 0, 1, { REV: true })]);
    show('combine', [await r.zAdd('y', { score: 7, value: 'b' }), await r.zInterWithScores(['z', 'y']), await r.zUnionWithScores(['z', 'y']), await r.zDiffWithScores(['z', 'y']), await r.zUnionStore('zu', ['z', 'y']), await r.zInterCard(['z', 'y'])]);
    show('pop', [await r.zPopMin('z'), await r.zPopMaxCount('z', 2), await r.zPopMin('none'), await r.zmPop(['none', 'zu'], 'MAX'), (await r.zRandMemberCountWithScores('zu', -4)).length, await r.zRandMember('none')]);
    show('lex', [await r.zAdd('lex', ['a', 'b', 'c'].map((value) => ({ score: 0, value }))), await r.zRangeByLex('lex', '[b', '+'), await r.zLexCount('lex', '-', '+'), await r.zRemRangeByLex('lex', '-', '[a'), await r.zRangeStore('zs', 'lex', 0, -1)]);
  });

  await section('iterators', async () => {
    const multi = r.multi();
    for (let i = 0; i < 1000; i++) multi.set(`scan:${i}`, `${i}`).hSet('sh', `f${i}`, `${i}`).sAdd('ss', `m${i}`).zAdd('sz', { score: i / 4, value: `m${i}` });
    await multi.execAsPipeline();
    show('scan', new Set(await collect(r.scanIterator({ MATCH: 'scan:*', COUNT: 70 }))).size);
    show('type', new Set(await collect(r.scanIterator({ TYPE: 'hash' }))));
    show('hscan', new Set((await collect(r.hScanIterator('sh'))).map((p) => `${p.field}=${p.value}`)).size);
    show('sscan', new Set(await collect(r.sScanIterator('ss'))).size);
    show('zscan', (await collect(r.zScanIterator('sz'))).reduce((sum, p) => sum + p.score, 0));
  });

  await section('pipelines and transactions', async () => {
    show('pipeline', (await Promise.all(Array.from({ length: 5000 }, () => r.incr('counter'))))[4999]);
    show('multi', await r.multi().set('t', '1').incr('t').hSet('th', 'f', 'v').hGetAll('th').zAdd('tz', { score: 1.5, value: 'm' }).zRangeWithScores('tz', 0, -1).exec());
    show('errors', await outcome(r.multi().set('t', 'x').lPush('t', '1').get('t').exec()));
    show('spoiled', await outcome(r.multi().addCommand(['NOSUCH']).exec()));
    const other = await connect();
    await r.watch('t');
    await other.set('t', 'other');
    const e = await outcome(r.multi().set('t', 'mine').exec());
    show('watch', [e instanceof WatchError, await r.get('t')]);
    await r.watch('t');
    show('unwatched', [await r.unwatch(), await r.multi().get('t').exec()]);
    other.destroy();
  });

  await section('pub/sub', async () => {
    const sub = RESP === 3 ? r : await connect();
    const got = [];
    await sub.subscribe(['news', 'other'], (message, channel) => got.push(`${channel} ${message}`));
    await sub.pSubscribe('n?ws', (message, channel) => got.push(`pattern ${channel} ${message}`));
    await sub.sSubscribe('shard', (message, channel) => got.push(`shard ${channel} ${message}`));
    const out = await connect();
    show('publish', [await out.publish('news', 'hello'), await out.publish('nobody', 'x'), await out.sPublish('shard', 'y')]);
    await until(() => got.length === 3, 'the messages');
    show('got', sorted(got));
    show('pubsub', [sorted(await out.pubSubChannels()), await out.pubSubNumSub(['news', 'none']), await out.pubSubNumPat(), await out.pubSubShardChannels()]);
    if (RESP === 3) show('commands meanwhile', [await sub.get('t'), await sub.ping()]);
    await sub.unsubscribe(['news', 'other']);
    await sub.pUnsubscribe('n?ws');
    await sub.sUnsubscribe('shard');
    show('nobody', await out.publish('news', 'again'));
    if (sub !== r) sub.destroy();
    out.destroy();
  });

  await section('blocking', async () => {
    const waiting = await connect();
    const both = async (promise, release) => {
      await until(async () => /blocked_clients:1\r/.test(await r.info('clients')), 'it blocks');
      await release();
      return promise;
    };
    show('blpop', await both(waiting.blPop(['b1', 'b2'], 5), () => r.rPush('b2', 'v')));
    show('timeout', [await waiting.blPop('b1', 0.05), await waiting.bzPopMin('bz', 0.05), await waiting.blMove('b1', 'b2', 'LEFT', 'LEFT', 0.05)]);
    show('bzpopmax', await both(waiting.bzPopMax('bz', 5), () => r.zAdd('bz', { score: 2.5, value: 'm' })));
    show('blmpop', await both(waiting.blmPop(5, 'b1', 'RIGHT', { COUNT: 2 }), () => r.rPush('b1', ['1', '2', '3'])));
    show('bzmpop', await both(waiting.bzmPop(5, 'bz', 'MIN'), () => r.zAdd('bz', [{ score: 1, value: 'x' }, { score: 2, value: 'y' }])));
    waiting.destroy();
  });

  await section('databases', async () => {
    const three = await connect({ database: 3 });
    show('select', [await three.set('only', 'here'), await r.get('only'), await three.dbSize(), await three.move('only', 4), await three.dbSize(), await r.swapDb(3, 4), await three.get('only'), await outcome(r.select(99)), await three.flushDb()]);
    three.destroy();
  });

  await section('login', async () => {
    const wrong = createClient({ url: `redis://default:wrong@127.0.0.1:${port}`, RESP, socket: { reconnectStrategy: false } });
    wrong.on('error', () => {});
    show('wrong', await outcome(wrong.connect()));
    const nobody = createClient({ url: `redis://nobody:${encodeURIComponent(password)}@127.0.0.1:${port}`, RESP, socket: { reconnectStrategy: false } });
    nobody.on('error', () => {});
    show('nobody', await outcome(nobody.connect()));
    show('auth', [await r.auth({ password }), await outcome(r.auth({ password: 'wrong' })), await outcome(r.auth({ username: 'nobody', password })), await r.get('t')]);
  });

  await section('client', async () => {
    show('name', [await r.clientSetName('renamed'), await r.clientGetName()]);
    await outcome(r.sendCommand(['CLIENT', 'SETINFO', 'LIB-VER', '1.2.3']));
    const info = await r.clientInfo();
    show('info', [info.name, info.db, info.multi, info.cmd, info.user, info.argvMem >= 0]);
    show('list', (await r.clientList()).map((c) => c.name));
    show('config', [await r.configGet('maxmemory*'), await r.configSet('maxmemory-samples', '7'), await r.configGet('maxmemory-samples'), await outcome(r.configSet('nosuch', '1'))]);
    show('command', [(await r.commandInfo(['get', 'nosuch'])), await r.commandGetKeys(['mset', 'a', '1', 'b', '2'])]);
    show('memory', [(await r.memoryUsage('t')) > 0, await r.memoryUsage('none'), await r.echo('hi'), await r.ping(), await r.dbSize() > 1000]);
  });

  await section('errors', async () => {
    for (const words of [['LPUSH', 't', '1'], ['INCR', 'l1'], ['NOSUCH', 'a'], ['GET'], ['SET', 'k', 'v', 'PX', '0'], ['ZADD', 'z', 'x', 'y'], ['HELLO', '9'], ['CONFIG', 'NOSUCH'], ['GETEX', 'k', 'EX', 'x'], ['SETRANGE', 'k', '-1', 'x']])
      show(words.join(' '), await outcome(r.sendCommand(words)));
  });

  await section('reconnect', async () => {
    const c = await connect({ database: 2, name: 'comes-back' });
    await c.set('mine', '1');
    let ready = 0;
    c.on('ready', () => ready++);
    await r.clientKill({ filter: 'ID', id: await c.clientId() });
    await until(() => ready === 1, 'it is ready again');
    show('again', [await c.incr('mine'), await c.clientGetName(), (await c.clientInfo()).db]);
    c.destroy();
  });

  await r.close();
});
