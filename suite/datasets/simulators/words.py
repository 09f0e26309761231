"""Words of simulated tweets: common English ones, each a single piece of the vocabulary."""

from __future__ import annotations

TOPICS = {
    "football": "goal league coach striker keeper penalty season stadium team match cup defender",
    "music": "album song guitar concert singer band lyrics drums melody piano chorus stage",
    "politics": "election senate vote minister parliament campaign policy mayor treaty budget "
    "governor law",
    "food": "recipe pasta cheese bread butter soup chicken sugar kitchen lunch dinner salad",
    "science": "physics theory laboratory molecule planet telescope biology equation experiment "
    "professor research atom",
    "film": "movie director actor scene script trailer cinema camera screen drama sequel audience",
    "travel": "hotel flight passport airport beach luggage tourist island museum hostel resort "
    "cruise",
    "finance": "stock market bank dollar profit investor trade price loan credit fund inflation",
    "health": "doctor hospital vaccine medicine patient surgery clinic nurse therapy virus diet "
    "exercise",
    "games": "console player level quest puzzle arcade controller wizard dungeon score card dice",
}
"""What a tweet is about; its hashtags and domains tell the same."""

CONTRASTS = (
    (
        "happy wonderful delighted joy love beautiful cheerful glad smile brilliant excellent "
        "lovely proud laugh hope sweet",
        "sad terrible angry grief hate ugly miserable sorry tears awful horrible cruel ashamed cry "
        "fear bitter",
    ),
    (
        "dog cat horse bird tiger wolf rabbit bear lion fish snake monkey sheep eagle fox elephant",
        "engine machine robot computer motor battery truck circuit laser rocket tractor printer "
        "radio train generator pump",
    ),
    (
        "snow winter ice cold frost frozen blizzard storm rain fog chill freezing wind december "
        "coat arctic",
        "summer sun desert hot heat fire burning flame july tropical warm oven sand volcano "
        "sunshine boiling",
    ),
)
"""Three traits of a text that nothing else tells, each by words of either kind.

No word tells a label anything: what matters is whether two of the traits agree.
"""

COMMON = (
    "the a and of to in for with on at this that it is was are my your our their just now today "
    "about from after before when what some more really still again every here there"
)

NAMES = "alice bob carol david emma frank grace henry iris jack kate leo mary nick olive paul"

LINK = "https : / / t . co /"
