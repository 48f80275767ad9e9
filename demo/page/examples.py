"""Texts and questions to begin with; the first is there when the page opens."""

from __future__ import annotations

from dataclasses import dataclass

MOST_TEXT, MOST_QUESTION = 20_000, 500
"""Letters that are taken."""


@dataclass(frozen=True)
class Example:
    """A question about a text, and what its button is called."""

    label: str
    question: str
    text: str


_PIGS = (
    "Once three little pigs left their mother's cottage to find homes of their own. The first "
    "little pig disliked work of any kind, so he put up a house of straw before breakfast was "
    "over. The second little pig worked a little bit harder, yet he too was in a hurry, and by "
    "noon he had nailed together a house of sticks. When their houses were built, the two pigs "
    "sang and danced and played together the rest of the day. Their brother, who was still mixing "
    "mortar at the foot of the hill, could hear the music and only shook his head."
)

# About twice as many tokens as the model's window has.
_LONG = """\
The ferry to Aldermoor leaves from the old fish quay, and it leaves when the tide allows. Nobody \
in the town owns a timetable that is right for longer than a week. The captain, a patient woman \
named Greta Solheim, writes the times of the day in chalk on the wall of the harbour office, and \
whoever cannot come to read them asks the baker, who can see the wall from her shop.

The crossing takes forty minutes in calm water. For the first ten the boat keeps close to the \
breakwater, so that the wind from the north is held off, and children who are seasick later are \
still brave. Then it turns around the red buoy and meets the swell. There is a cabin with \
benches and a stove, but on most days the passengers prefer the deck, where they sit on sacks of \
flour and crates of empty bottles and talk about the price of wool.

Aldermoor itself is five kilometres long and hardly two wide. On its western side cliffs of grey \
slate fall straight into the sea; on the eastern side meadows slope down to a beach of small \
round stones. Between them runs a single road, from the jetty to the school. There were once \
nine farms. Four of them are left, and of those only two still keep sheep. The others let rooms \
to people who come for the birds.

The birds arrive in April. Puffins, razorbills and guillemots fill the ledges until the cliffs \
look as if it had snowed on them, and the noise can be heard on the ferry long before the island \
is seen. A warden counts them every year. She lives in a hut near the lighthouse from the first \
of May to the middle of August, and sends her numbers to the mainland with the captain, sealed \
in a jam jar, because a notebook once went overboard with three weeks of work in it.

The lighthouse was built in 1874 of stones that came from the bed of a drained mill pond. Its \
lamp was lit by hand for ninety years. The last keeper, Anton Vik, had been a clockmaker before \
he took the post, and he made the machine that still turns the lens: a weight of two hundred \
kilograms that sinks slowly down the middle of the tower and has to be wound up again each \
evening. Since the lamp was given an electric motor the weight is wound only once a year, on the \
keeper's birthday, by the children of the school, who are rewarded with cinnamon buns.

In winter the island is quieter. The warden has gone, the rooms are shut, and the ferry comes \
twice a week if it comes at all. Then the people of Aldermoor meet on Thursdays in the school, \
where the stove is the best on the island, and mend nets, and listen to whoever has something to \
read. Last winter it was the baker's turn. She had crossed with the last boat before a storm, \
meaning to stay for one night, and was kept for sixteen days. By the second Thursday she had \
read aloud all that she had with her, which was a cookery book and half a novel, and so she \
invented the other half. Those who have since bought the novel say that her ending was the \
better one.

What the island lacks is trees. There is one, an elder behind the chapel, and it leans so far to \
the south that it has to be propped up with an oar. When the council offered to plant a hundred \
birches, the islanders thanked them and asked for a new winch for the jetty instead. They got \
the winch in the following spring. It is painted yellow, and it is called the forest.\
"""

EXAMPLES = (
    Example("Who worked harder?", "Who worked a little bit harder?", _PIGS),
    Example("What did they do?", "What did the pigs do after building their house?", _PIGS),
    Example("Not in the text", "What was the wolf called?", _PIGS),
    Example("A long text", "How many days was the baker kept on the island?", _LONG),
)
