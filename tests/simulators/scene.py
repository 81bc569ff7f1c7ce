"""Devices around one verifier, acting by a script: proposals right and wrong, late, or none.

What each of them ends up with is for a test to judge.
"""

from outrider_protos.words import Ack
from tests.simulators.rim import Rim, ScriptedDevice


class Scene:
    """Devices around one verifier, each acting on its own view of its log."""

    def __init__(self, rim: Rim, devices: list[ScriptedDevice]) -> None:
        self.rim = rim
        self.devices = devices
        self.streams = len(devices)
        self.texts, self.reasons = [], []
        for device in devices:
            terms = device.terms
            alone = rim.target.alone(device.log, terms.sampling, terms.max_length, terms.stop_ids)
            self.texts.append([*device.log, *alone.tokens])
            self.reasons.append(alone.reason)

    def act(self, name: str, index: int, dice: int) -> None:
        index %= len(self.devices)
        match name:
            case "turn":
                self.rim.turn()
            case "wait":
                self.rim.now_s += 0.02
            case "fail":
                self.rim.target.failing = True
            case _ if self.devices[index].finish is None:
                self.speak(name, self.devices[index], self.texts[index], dice)

    def speak(self, name: str, device: ScriptedDevice, text: list[int], dice: int) -> None:
        match name:
            case "listen":
                device.listen()
            case "ack":
                self.rim.hear(device.stream, Ack(len(device.log)))
            case "ask":
                device.ask()
            case "reopen" if dice % 4 == 0:
                device.open(keep=dice % (len(device.log) + 1))
            case "leave" if dice % 4 == 0:
                self.reconnect(device)
            case "chain" | "tree" | "late":
                self.propose(device, text, name, dice)

    def reconnect(self, device: ScriptedDevice) -> None:
        self.streams += 1
        device.reconnect(self.streams)

    def propose(self, device: ScriptedDevice, text: list[int], name: str, dice: int) -> None:
        """Nodes that are right but for one, with doubles and dead ends among them."""
        count = dice % 7 + 1
        if device.epoch == 0 or (name == "chain" and dice & 512):
            device.begin_epoch()
        epoch = device.epochs[device.epoch]
        first = len(epoch.tokens)
        if name == "chain":
            start = epoch.at + len(epoch.path(first - 1))
            right = (text[start : start + count] + [0] * count)[:count]
            wrong = dice // 7 % (2 * count)
            device.propose([(t + (i == wrong)) % 12 for i, t in enumerate(right)])
            return
        parents = [(dice >> (3 * i)) % (first + i) for i in range(count)]
        if name == "late":
            parents = [min(parent, 2) for parent in parents]
        tokens = []
        depths = [len(epoch.path(node)) for node in range(first)]
        for i, parent in enumerate(parents):
            depths.append(depths[parent] + 1)
            place = epoch.at + depths[-1] - 1
            right_token = text[place] if place < len(text) else 0
            tokens.append((right_token + (dice >> i) % 2) % 12)
        device.propose(tokens, parents)

    def finish(self) -> None:
        """Listen, ask and judge until every generation has ended."""
        self.rim.target.failing = False
        for _ in range(400):
            waiting = [device for device in self.devices if device.finish is None]
            if not waiting:
                return
            for device in waiting:
                device.listen()
                if device.sent_away:
                    self.reconnect(device)
                elif device.finish is None:
                    device.ask()
            self.rim.run()
        raise AssertionError("a generation never ends")
