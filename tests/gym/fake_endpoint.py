"""A server that speaks the API of chat completions, for tests."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FakeEndpoint:
    """Answers each question with the next of some answers, or with the last one again.

    An answer is a text; a status to fail with, alone or with what it says; ``None`` to hang
    up; or a dict that is sent as it is. What was asked is in `questions`.
    """

    def __init__(self, answers, delay_s=0.0):
        self._answers = list(answers)
        self._delay_s = delay_s
        self._lock = threading.Lock()
        self._now = 0
        self.most_at_once = 0
        self.questions = []
        self.keys = []
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                endpoint._answer(self)

            def log_message(self, *args):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.base_url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, request):
        body = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
        with self._lock:
            assert request.path == "/v1/chat/completions"
            self.questions.append(body)
            self.keys.append(request.headers["Authorization"])
            answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        time.sleep(self._delay_s)
        with self._lock:
            self._now -= 1
        if answer is None:
            request.connection.close()
            return
        said = ""
        if isinstance(answer, tuple):
            answer, said = answer
        status = answer if isinstance(answer, int) else 200
        content = json.dumps(self._body(answer, body, said)).encode()
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(content)))
        request.send_header("retry-after-ms", "1")
        request.end_headers()
        request.wfile.write(content)

    def _body(self, answer, asked, said):
        if isinstance(answer, dict):
            return answer
        if isinstance(answer, int):
            return {"error": {"message": said or f"status {answer}", "type": "fake"}}
        return {
            "id": "1",
            "object": "chat.completion",
            "created": 0,
            "model": asked["model"],
            "choices": [
                {
                    "index": 0,
                    "finish_reason": "stop",
                    "message": {"role": "assistant", "content": answer},
                }
            ],
            "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
        }
