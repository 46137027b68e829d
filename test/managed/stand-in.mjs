/**
 * As `llama-server` is, from outside: `node stand-in.mjs <port> [how…]`. Prints what it does, answers /v1/models and chat, and
 * fails in the ways that it is told:
 *
 *   slow=<ms>     is not ready for so long (503, as one that loads)
 *   never         is never ready
 *   crash         ends with code 3 before it listens
 *   crash-once=F  ends in the middle of an answer, unless the file F is there, which it makes
 *   crash-each    ends in the middle of each answer
 *   hang-after=F  answers nothing any more while the file F is there
 *   garbage       prints bytes that are no text, without an end
 *   not-http      says something else than HTTP on its port
 *   deaf          passes SIGTERM over
 *   child         starts another process, which would outlive it
 *   hold=F        answers when the file F is there
 *   eats=<MiB>    holds so much memory once its first answer is out
 */
import { spawn } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createTcpServer } from 'node:net';

const [port, ...how] = process.argv.slice(2);
const is = (word) => how.includes(word);
const valueOf = (word) => how.find((one) => one.startsWith(`${word}=`))?.slice(word.length + 1);
const begun = Date.now();
const eaten = [];

console.error(`loading the model of port ${port}`);
if (is('crash')) {
  console.error(`error: couldn't bind to 127.0.0.1:${port}, unable to allocate`);
  process.exit(3);
}
if (is('deaf')) process.on('SIGTERM', () => console.error('deaf to SIGTERM'));
if (is('child')) spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
if (is('garbage')) {
  const bytes = Buffer.alloc(65_536, Buffer.from([0, 27, 91, 50, 74, 255, 10, 7]));
  const print = () => process.stdout.write(bytes, () => setImmediate(print));
  print();
}

const answer = (res, status, body) => {
  res.writeHead(status, { 'content-type': 'application/json' });
  res.end(JSON.stringify(body));
};

const message = { role: 'assistant', content: `from ${process.pid} at ${port}` };
const whole = { choices: [{ index: 0, message, finish_reason: 'stop' }] };

const chat = (res) => {
  const once = valueOf('crash-once');
  if (is('crash-each') || (once !== undefined && !existsSync(once))) {
    if (once !== undefined) writeFileSync(once, '');
    res.writeHead(200, { 'content-type': 'application/json' });
    res.write('{"choices":');
    console.error('GGML_ASSERT failed');
    setTimeout(() => process.exit(134), 20);
    return;
  }
  const eats = Number(valueOf('eats') ?? 0);
  // Who is ended for what it holds has answered before, however slowly this machine fills its memory.
  if (eats > 0 && eaten.length === 0) res.on('close', () => eaten.push(Buffer.alloc(eats * 1024 * 1024, 1)));
  answer(res, 200, whole);
};

const server = is('not-http')
  ? createTcpServer((socket) => socket.end('220 mail ready\r\n'))
  : createServer((req, res) => {
      let asked = '';
      req.on('data', (piece) => (asked += piece));
      req.on('end', () => {
        const hang = valueOf('hang-after');
        if (hang !== undefined && existsSync(hang)) return;
        const isReady = !is('never') && Date.now() - begun >= Number(valueOf('slow') ?? 0);
        if (!isReady) return answer(res, 503, { error: { message: 'Loading model', code: 503 } });
        if (req.url === '/v1/models') return answer(res, 200, { data: [{ id: 'tiny' }] });
        if (req.url !== '/v1/chat/completions')
          return answer(res, 404, { error: { message: 'File Not Found' } });
        // Who looks what it can do asks for nothing.
        if (!asked.includes('"messages":[{')) return answer(res, 400, { error: { message: 'no messages' } });
        // What loads the model is answered by any server that runs.
        if (/"max_tokens":\s*1\b/.test(asked)) return answer(res, 200, whole);
        const hold = valueOf('hold');
        if (hold === undefined) return chat(res);
        console.error('holds an answer');
        const look = setInterval(() => {
          if (!existsSync(hold)) return;
          clearInterval(look);
          chat(res);
        }, 20);
        res.on('close', () => clearInterval(look));
      });
    });
server.on('error', (error) => {
  console.error(`error: ${error.code}`);
  process.exit(1);
});
server.listen(Number(port), '127.0.0.1', () => console.error('listening'));
