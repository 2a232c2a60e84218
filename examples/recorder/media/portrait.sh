#!/bin/sh
# Draws portrait.mpg into the current folder: a head that sways and speaks before a moving ground, grain, and text. Needs ffmpeg with drawtext, and a font.
set -eu
x='(X-176-26*sin(T*1.3))'; y='(Y-122-6*sin(T*2.1))'
head="lt(hypot($x/62,$y/80),1)"
hair="lt(hypot($x/72,($y+26)/74),1)*lt($y,-28-10*sin($x/9))"
eyes="lt(min(hypot(($x-24-5*cos(T))/11,($y+12)/6),hypot(($x+24-5*cos(T))/11,($y+12)/6)),1)"
iris="lt(min(hypot($x-24-9*cos(T),$y+12),hypot($x+24-9*cos(T),$y+12)),4.5)"
brow="lt(abs($y+28+abs(abs($x)-24)/6),2.5)*lt(abs(abs($x)-24),15)"
nose="lt(abs($x-3-($y-8)/9),2)*between($y,-8,20)"
mouth="lt(hypot($x/24,($y-42)/(4+4*abs(sin(T*7)))),1)"
body="lt(hypot($x/120,($y-170)/92),1)"
ground="90+30*sin(X/17+T*2)+26*sin(Y/13-T)+20*sin((X+Y)/41)"
lum="if($mouth,60,if($iris,25,if($eyes,225,if($brow,55,if($nose,120,if($hair,48+14*sin($x*1.7),if($head,186-0.45*abs($x)-0.25*$y,if($body,70+16*sin(X/5)*sin(Y/5),$ground))))))))"
cb="if($mouth,112,if($head*not($hair),108,if($body,150,122)))"
cr="if($mouth,176,if($head*not($hair),150,if($body,120,118)))"
ffmpeg -v error -y -f lavfi -i "color=c=gray:s=352x288:r=25:d=5,format=yuv444p,geq=lum='$lum':cb='$cb':cr='$cr',noise=alls=7:allf=t:all_seed=1,drawbox=y=236:h=38:c=navy@0.8:t=fill,drawtext=text='LIVE  Mayor opens new bridge':fontsize=22:fontcolor=white:x=14:y=246,drawtext=text='12\:04':fontsize=18:fontcolor=white:x=292:y=10,format=yuv420p" \
  -c:v mpeg2video -b:v 900k -g 12 -bf 2 -flags +bitexact -fflags +bitexact -f vob portrait.mpg
