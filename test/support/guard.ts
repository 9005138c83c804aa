/**
 * Sees to it that a server we start never outlives us, however we end.
 *
 * A guard is a tiny shell that waits for the end of a pipe whose other end is this process. The pipe ends when we say so, when we
 * exit, and just as well when we are killed with SIGKILL, which no exit handler sees. Then the guard ends the server that the pid
 * file names and removes its directory. It checks that the pid is still that server's, since numbers are used again.
 * It runs in a session of its own: Ctrl-C in the terminal must not end it first. Called by postgres.ts and pgbouncer.ts.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'

/** What a guard looks after. */
export interface GuardOptions {
  /** The server's pid file; its first line is the pid. May not exist (yet). */
  readonly pidFile: string
  /** A text that the server's command line holds, and no other process's. */
  readonly marker: string
  /** The signal that ends the server at once. */
  readonly signal: 'QUIT' | 'TERM'
  /** Removed, with all that it holds, when the server is gone. */
  readonly directory: string
}

/** The running guard of one server. */
export interface Guard {
  /** Ends the server if it still runs, removes the directory, and waits until that is done. Safe to call twice. */
  release(): Promise<void>
}

// A server that has not ended 10 s after its signal is killed. `ps` is asked only where there is no /proc.
const script = `
pid_file=$1 marker=$2 signal=$3 directory=$4
trap '' HUP INT TERM
read -r _
pid=$(head -n 1 "$pid_file" 2>/dev/null)
is_ours() {
  [ -n "$pid" ] || return 1
  { tr '\\0' ' ' <"/proc/$pid/cmdline" || ps -o args= -p "$pid"; } 2>/dev/null | grep -qF -- "$marker"
}
if is_ours; then
  kill -s "$signal" "$pid"
  tries=0
  while is_ours && [ $tries -lt 200 ]; do sleep 0.05; tries=$((tries + 1)); done
  is_ours && kill -s KILL "$pid"
fi
rm -rf "$directory"
`

/** Starts a guard. It doesn't keep this process alive. */
export function startGuard(options: GuardOptions): Guard {
  const { pidFile, marker, signal, directory } = options
  const child = spawn('sh', ['-c', script, 'pgfresh-guard', pidFile, marker, signal, directory], {
    cwd: '/',
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  child.unref()
  if ('unref' in child.stdin && typeof child.stdin.unref === 'function') child.stdin.unref()
  child.stdin.on('error', () => {})
  const ended = once(child, 'exit')
  return {
    async release() {
      child.ref()
      child.stdin.end()
      await ended
    },
  }
}
