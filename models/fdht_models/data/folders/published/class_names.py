"""The classes of the published sets, as their folders and files are called."""

from __future__ import annotations


def words(text: str) -> tuple[str, ...]:
    """The words of a text."""
    return tuple(text.split())


UCF11 = words(
    """
    basketball biking diving golf_swing horse_riding soccer_juggling swing tennis_swing
    trampoline_jumping volleyball_spiking walking
    """
)

UCF50 = words(
    """
    BaseballPitch Basketball BenchPress Biking Billiards BreastStroke CleanAndJerk Diving Drumming
    Fencing GolfSwing HighJump HorseRace HorseRiding HulaHoop JavelinThrow JugglingBalls JumpRope
    JumpingJack Kayaking Lunges MilitaryParade Mixing Nunchucks PizzaTossing PlayingGuitar
    PlayingPiano PlayingTabla PlayingViolin PoleVault PommelHorse PullUps Punch PushUps
    RockClimbingIndoor RopeClimbing Rowing SalsaSpin SkateBoarding Skiing Skijet SoccerJuggling
    Swing TaiChi TennisSwing ThrowDiscus TrampolineJumping VolleyballSpiking WalkingWithDog YoYo
    """
)

HMDB51 = words(
    """
    brush_hair cartwheel catch chew clap climb climb_stairs dive draw_sword dribble drink eat
    fall_floor fencing flic_flac golf handstand hit hug jump kick kick_ball kiss laugh pick pour
    pullup punch push pushup ride_bike ride_horse run shake_hands shoot_ball shoot_bow shoot_gun
    sit situp smile smoke somersault stand swing_baseball sword sword_exercise talk throw turn
    walk wave
    """
)

HOLLYWOOD2 = words(
    """
    AnswerPhone DriveCar Eat FightPerson GetOutCar HandShake HugPerson Kiss Run SitDown SitUp
    StandUp
    """
)

TED_LIUM = ("female", "male")

#: TIMIT's 61 phones folded to the 39 of Lee and Hon (1989). The glottal stop q is left out.
_KEPT = words(
    """
    aa ae ah aw ay b ch d dh dx eh er ey f g hh ih iy jh k l m n ng ow oy p r s sh t th uh uw v w
    y z
    """
)
_FOLDED = words(
    """
    ao:aa ax:ah ax-h:ah axr:er hv:hh ix:ih el:l em:m en:n nx:n eng:ng zh:sh ux:uw
    bcl:sil dcl:sil gcl:sil kcl:sil pcl:sil tcl:sil epi:sil pau:sil h#:sil
    """
)
TIMIT_FOLDING = {phone: phone for phone in _KEPT} | {
    phone: folded for phone, _, folded in (pair.partition(":") for pair in _FOLDED)
}
TIMIT = tuple(sorted(set(TIMIT_FOLDING.values())))
